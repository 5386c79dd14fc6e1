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
    with plan.checkout.lock("prepare"):
        build_suite(plan)
        for folder, encoder in map_encoders(plan).items():
            prepare_encoder(plan, encoder, folder)


def map_encoders(plan: Plan) -> dict[Path, EncoderSettings]:
    """Return the folder of each prepared encoder of a plan -> its settings."""
    # Two encoders may share a name: the same model with and without a trimmed vocabulary.
    return {plan.checkout.encoder_folder(run): run.settings.encoder for run in plan.runs}


def build_suite(plan: Plan) -> None:
    """Build a plan's suite. Raises StiltsError if its data changed after the runs were named after it."""
    source, request = open_source(plan.study, plan.checkout), make_request(plan.study)
    if source.fingerprint(request) != plan.runs[0].data:
        raise StiltsError(f"study '{plan.study.name}': its data changed after the plan was made; run the command again")
    source.build(plan.suite_folder, request, report=log.info)


def prepare_encoder(plan: Plan, encoder: EncoderSettings, folder: Path) -> None:
    """Save one of a plan's encoders to a folder, with its vocabulary trimmed to the texts of the plan's suite."""
    from stilts.models import prepared

    prepared.prepare_encoder(
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
        build_suite(plan)
    with new_folder(folder, "suite") as part:
        shutil.copytree(plan.suite_folder, part, dirs_exist_ok=True)
