"""What leaves the study: figures, pages, the site, a submission, an exported model."""
