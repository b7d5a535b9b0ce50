"""Track again on a GPU, close the notebook, come back, and compare the two runs."""

# %% Submit: at most one start, however often this cell is run
import being_remote as br

job = br.submit("roman", host="a100", preset="gaussiantalker-round2")
print(job)

# %% Tomorrow, in another notebook
job = br.find_job("last")
status = job.status()
print(status.state, status.reason, f"{status.done} of {status.total} frames")

# %% Wait, and read the end of the log
status = job.wait()
print(job.logs(tail=3))

# %% Download the results, verified, and compare with the first run
results = job.pull(all_files=True)
print(f"{results.files} files in {results.folder}")
comparison = br.compare("roman", job.id)
for change in comparison.config_changes or ():
    print(change)

# %% The same camera, through another crop
for run in ("roman", job.id):
    recovery = br.recover(run)
    print(run, recovery.grade, recovery.crop.side if recovery.crop else "?", recovery.cameras.K[0, 0])
