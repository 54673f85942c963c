#!/bin/busybox sh
# The first program of the machine that machine.ts boots: puts this machine's files, read-only, below a
# layer of memory, goes there, and runs guest.ts on the second serial line. /job says where what is.
# When the guest is done, or does not begin, the machine is switched off.
export PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin:/usr/local/go/bin
BB=/bin/busybox

off() {
  $BB sync
  echo o >/proc/sysrq-trigger
  $BB sleep 60
}

$BB mount -t proc proc /proc
$BB mount -t sysfs sys /sys
$BB mount -t devtmpfs dev /dev
$BB hostname machine
while read -r module; do
  $BB insmod "/modules/$module"
done </job/modules

$BB mkdir -p /host /layer /machine
$BB mount -t 9p -o trans=virtio,version=9p2000.L,ro,cache=loose,msize=262144 host /host || off
$BB mount -t tmpfs -o size=75% layer /layer
$BB mkdir /layer/upper /layer/work
$BB mount -t overlay -o lowerdir=/host,upperdir=/layer/upper,workdir=/layer/work overlay /machine || off

$BB mount --move /proc /machine/proc
$BB mount --move /sys /machine/sys
$BB mount -t devtmpfs dev /machine/dev
$BB mkdir -p /machine/dev/pts /machine/dev/shm
$BB mount -t devpts devpts /machine/dev/pts
$BB mount -t tmpfs shm /machine/dev/shm
$BB mount -t cgroup2 cgroup /machine/sys/fs/cgroup
$BB mount -t tmpfs run /machine/run
$BB cp /job/job.json /machine/run/job.json

# The kernel looks for its modules where a machine of its own would have them.
release=$($BB uname -r)
$BB mkdir -p /machine/lib/modules
$BB rm -rf "/machine/lib/modules/$release"
$BB ln -s "$($BB cat /job/modules_folder)" "/machine/lib/modules/$release"

HOME=$($BB cat /job/home)
DENO_DIR=$($BB cat /job/deno_dir)
export HOME DENO_DIR NO_COLOR=1
deno=$($BB cat /job/deno)
project=$($BB cat /job/project)
exec $BB switch_root /machine /bin/sh -c '
  "$@" </dev/null >/dev/ttyS1 2>&1
  echo o >/proc/sysrq-trigger
  sleep 60
' sh "$deno" run -A --no-check --cached-only "$project/tests/kernel/guest.ts"
