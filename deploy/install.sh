#!/bin/sh
# Installs Calyx on a node, or into a node's file system mounted at DESTDIR:
#
#     install.sh [plugin] [agent] [ctl]     without arguments all three
#     install.sh remove                     deletes what this script installed, except settings
#
# Every file is written under another name and renamed into place, so that a program that runs or reads it has
# the whole old one or the whole new one. The plugin's configuration comes last: a container runtime that
# sees it finds the plugin. One that an administrator has edited stays, unless CALYX_CNI_CONFIG names
# the file to use.
#
# DESTDIR, CALYX_FROM (the executables), CNI_BIN_DIR, CNI_CONF_DIR, BIN_DIR, CALYX_CNI_CONFIG
set -eu

here=$(cd "$(dirname "$0")" && pwd)
dest=${DESTDIR:-}
bin_dir=${BIN_DIR:-/usr/local/bin}
cni_bin_dir=${CNI_BIN_DIR:-/opt/cni/bin}
cni_conf_dir=${CNI_CONF_DIR:-/etc/cni/net.d}
unit=/etc/systemd/system/calyx-agent.service
settings=/etc/default/calyx-agent
conflist=$cni_conf_dir/10-calyx.conflist
partial=

fail() {
  echo "install.sh: $*" >&2
  exit 1
}

trap '[ -z "$partial" ] || rm -f "$partial"' EXIT
trap 'exit 129' HUP
trap 'exit 130' INT
trap 'exit 143' TERM

# put FILE TARGET MODE
put() {
  [ -f "$1" ] || fail "$1 is missing: run \`deno task build\` first, or set CALYX_FROM"
  mkdir -p "$(dirname "$dest$2")"
  partial=$(dirname "$dest$2")/.$(basename "$2").$$
  cp "$1" "$partial"
  chmod "$3" "$partial"
  mv -f "$partial" "$dest$2"
  partial=
  echo "$dest$2"
}

# Where the executables are: beside this script in an image, in dist/ of a checkout.
find_executables() {
  if [ -n "${CALYX_FROM:-}" ]; then
    from=$CALYX_FROM
  elif [ -f "$here/calyx" ]; then
    from=$here
  else
    from=$here/../dist
  fi
}

install_plugin() {
  put "$from/calyx" "$cni_bin_dir/calyx" 0755
  if [ -n "${CALYX_CNI_CONFIG:-}" ]; then
    put "$CALYX_CNI_CONFIG" "$conflist" 0644
  elif [ ! -e "$dest$conflist" ]; then
    put "$here/cni/10-calyx.conflist" "$conflist" 0644
  fi
}

install_agent() {
  put "$from/calyx-agent" "$bin_dir/calyx-agent" 0755
  put "$here/systemd/calyx-agent.service" "$unit" 0644
  if [ ! -e "$dest$settings" ]; then
    put "$here/systemd/calyx-agent.default" "$settings" 0600
  fi
  if [ -z "$dest" ] && [ -d /run/systemd/system ]; then
    systemctl daemon-reload
    echo "Start it: systemctl enable --now calyx-agent (again after an update: systemctl restart)"
  fi
}

remove() {
  # The configuration first: a runtime must not call a plugin that is deleted already.
  rm -f "$dest$conflist"
  if [ -z "$dest" ] && [ -d /run/systemd/system ]; then
    systemctl disable --now calyx-agent 2>/dev/null || true
  fi
  rm -f "$dest$unit" "$dest$cni_bin_dir/calyx" "$dest$bin_dir/calyx-agent" "$dest$bin_dir/calyxctl"
  echo "Rules in the kernel stay: \`calyx-agent cleanup\` before this, or a reboot, ends them."
}

[ "$#" -gt 0 ] || set -- plugin agent ctl
for word in "$@"; do
  case $word in
  plugin | agent | ctl) ;;
  remove) [ "$#" -eq 1 ] || fail "remove stands alone" ;;
  *) fail "unknown part \"$word\": plugin, agent, ctl or remove" ;;
  esac
done
find_executables
for word in "$@"; do
  case $word in
  plugin) install_plugin ;;
  agent) install_agent ;;
  ctl) put "$from/calyxctl" "$bin_dir/calyxctl" 0755 ;;
  remove) remove ;;
  esac
done
