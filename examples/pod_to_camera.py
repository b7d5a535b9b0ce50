"""From a pod to a camera: find the crop box, download everything verified, recover, export."""

# %% What does the pod have, and what does it lack?
import being_remote as br

for host in br.doctor("a100").hosts:
    print(host.host, "reachable" if host.reachable else host.error, *host.problems, sep="\n  ")

# %% The crop box, on the pod and on this laptop; unknown is said to be unknown
found = br.find_bbox("roman")
print(found.best or found.why_no_best)

# %% Every checkpoint, verified; older ones are never lost, and a second sync moves nothing
synced = br.sync("roman", host="a100")
print(f"{synced.files} files, {synced.transferred_files} of them new, in {synced.folder}")

# %% The camera of the original video
recovery = br.recover("roman")
print(recovery, recovery.cameras.K, sep="\n")
recovery.export("gaussiantalker", out="for-gaussiantalker", with_images=True)
