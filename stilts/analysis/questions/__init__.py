"""The five questions: a module each, on common statistics, fed with tidy tables, so that fakes can test them."""
