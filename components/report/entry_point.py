"""The entry point of the Report task's container on Vertex AI: TFX's own, after registering the type of the page.

Vertex AI shows an artifact as a page if its type is called system.HTML. TFX imports types by their names, but there is no module
`system`; so `python -m components.report.entry_point …` registers the class and runs `tfx…kubeflow_v2_run_executor …`.
"""

import runpy

from tfx.orchestration.kubeflow.v2 import compiler_utils
from tfx.utils import name_utils

from components.artifacts import HtmlPage

TFX = "tfx.orchestration.kubeflow.v2.container.kubeflow_v2_run_executor"


def main() -> None:
    compiler_utils.TITLE_TO_CLASS_PATH[HtmlPage.TYPE_NAME] = name_utils.get_full_name(HtmlPage)
    runpy.run_module(TFX, run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main()
