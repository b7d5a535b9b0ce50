"""Any command as a job: it runs exactly once, survives a closed laptop, and leaves its log."""

# %% A file of this laptop travels with the job
from pathlib import Path

import being_remote as br

Path("hello.py").write_text("import os\nprint('hello from', os.environ['WHERE'])\n")
job = br.submit(
    command=["python3", "hello.py"], host="a100", inputs="hello.py", env={"WHERE": "the pod"}, gpus=0
)

# %% Its end and its log
print(job.wait().state)
print(job.logs())
