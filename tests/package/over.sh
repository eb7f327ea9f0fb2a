#!/bin/sh
# Run a command in a tree laid over "/", which only the command and its children see: what it installs, builds or removes is
# gone when it ends, and the system stays as it was. over.sh DIRECTORY COMMAND [ARGUMENT...]
#
# DIRECTORY is empty, and for this alone. The working directory is kept. Exit status: the command's; 77 where that cannot be
# done: it takes root, and a kernel that lays a tree over "/".
set -u
dir=$1
shift
if [ "${LJINSPECT_OVER:-}" != "$dir" ]; then
    unshare -m true 2>/dev/null || exit 77
    exec env LJINSPECT_OVER="$dir" unshare -m "$0" "$dir" "$@"
fi
unset LJINSPECT_OVER
{
    mount -t tmpfs none "$dir" && mkdir "$dir/upper" "$dir/work" "$dir/root" &&
        mount -t overlay overlay -o "lowerdir=/,upperdir=$dir/upper,workdir=$dir/work" "$dir/root" &&
        mount -t proc proc "$dir/root/proc" && mount --bind /dev "$dir/root/dev"
} 2>/dev/null || exit 77
[ -d "$dir/root$PWD" ] || exit 77 # it lies on another file system
exec chroot "$dir/root" sh -c 'cd "$1" && shift && exec "$@"' sh "$PWD" "$@"
