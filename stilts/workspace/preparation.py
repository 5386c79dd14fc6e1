"""Preparation of a plan's suite and encoders before its first run starts."""

import logging
import shutil
from pathlib import Path

from stilts.study.errors import StiltsError
from stilts.study.settings import EncoderSettings
from stilts.study.storage import new_folder, require_new
from stilts.workspace.plan import Plan
from stilts.workspace.resolution import make_request, open_source

log = logging.getLogger(__name__)


def prepare(plan: Plan) -> None:
    """Build a plan's suite and encoders; existing ones are reused."""
    # Two encoders may share a name: the same model with and without a trimmed vocabulary.
    settings = {plan.checkout.encoder_folder(run): run.settings.encoder for run in plan.runs}
    with plan.checkout.lock("prepare"):
        _build_suite(plan)
        for folder, encoder in settings.items():
            _prepare_encoder(plan, encoder, folder)


def _build_suite(plan: Plan) -> None:
    """Build a plan's suite. Raises StiltsError if its data changed after the runs were named after it."""
    source, request = open_source(plan.study, plan.checkout), make_request(plan.study)
    if source.fingerprint(request) != plan.runs[0].data:
        raise StiltsError(f"study '{plan.study.name}': its data changed after the plan was made; run the command again")
    source.build(plan.suite_folder, request, report=log.info)


def _prepare_encoder(plan: Plan, encoder: EncoderSettings, folder: Path) -> None:
    from stilts.models.prepared import prepare_encoder

    prepare_encoder(
        plan.checkout.encoder_name(encoder),
        open_source(plan.study, plan.checkout).texts(plan.suite_folder),
        folder,
        revision=encoder.revision,
        trim=encoder.trim_vocabulary,
        scratch=encoder.scratch,
        convert_to=encoder.convert_to,
    )


def export_suite(plan: Plan, folder: Path) -> None:
    """Copy a plan's suite to a new folder in the Hub's layout; the suite is built first if it does not exist.

    Raises
    ------
    StiltsError
        If the folder exists or cannot be written; an incomplete copy is removed.
    """
    require_new(folder)
    with plan.checkout.lock("prepare"):
        _build_suite(plan)
    with new_folder(folder, "suite") as part:
        shutil.copytree(plan.suite_folder, part, dirs_exist_ok=True)
