/** The texts of `help` and `-h`. */

import type { Command } from "./command.ts";

const GLOBAL_HELP = `Global flags:
  -c, --config FILE           calicoctl's configuration file [default: /etc/calico/calicoctl.cfg]
      --kubeconfig FILE       kubeconfig, or several separated by ":"
      --context NAME          context of the kubeconfig
  -n, --namespace NAME        namespace
  -l, --log-level LEVEL       error keeps warnings back [default: warn]
      --request-timeout TIME  such as 10s or 1m; 0 waits for ever [default: 30s]
  -h, --help                  help on a command
`;

const ENVIRONMENT_HELP =
  `Environment, each also with the prefix CALICO_ (a flag or the file overrides it):
  KUBECONFIG          kubeconfig
  K8S_API_ENDPOINT    URL of the API server; overrides the kubeconfig's
  K8S_CERT_FILE       client certificate
  K8S_KEY_FILE        its key
  K8S_CA_FILE         CA of the API server
  K8S_TOKEN           bearer token
  DATASTORE_TYPE      kubernetes, which is the default and all there is
Without any of them: the service account in a pod, or else ~/.kube/config.
`;

/** The text of `calyxctl help`. */
export function formatHelp(commands: readonly Command[]): string {
  const listed = commands.filter((it) => it.summary !== undefined);
  const width = listed.reduce((most, it) => Math.max(most, it.name.length), 0);
  const lines = listed.map((it) => `  ${it.name.padEnd(width)}   ${it.summary}\n`).join("");
  return `calyxctl shows what Calyx makes of a Kubernetes cluster, and explains every verdict.

Usage: calyxctl COMMAND [flags]

Commands:
${lines}
${GLOBAL_HELP}
${ENVIRONMENT_HELP}`;
}

/** The text of `calyxctl COMMAND -h`. */
export function formatCommandHelp(command: Command): string {
  return command.flags === undefined ? command.help : `${command.help}\n${GLOBAL_HELP}`;
}
