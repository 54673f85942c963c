/** A container as a CNI plugin is told of it: a pod's sandbox without processes. */

import { interfaceNameOf } from "../../../lib/model/interface_name.ts";
import { TestNamespace } from "../kernel/test_namespace.ts";

/** A container, as far as the plugin is told of it. */
export interface Container {
  readonly containerId: string;
  /** The network namespace's path. */
  readonly path: string;
  /** The pod's name; without it the container is no pod's. */
  readonly pod?: string;
  /** The pod's namespace. @default {"default"} */
  readonly podNamespace?: string;
  /** The pod's uid; without it the runtime does not say. */
  readonly uid?: string;
}

/** A container with a network namespace of its own. */
export class TestContainer extends TestNamespace implements Container {
  readonly containerId: string;
  readonly pod: string;
  readonly podNamespace: string;
  readonly uid?: string;

  constructor(containerId: string, pod = containerId, uid?: string, podNamespace = "default") {
    super();
    this.containerId = containerId;
    this.pod = pod;
    this.podNamespace = podNamespace;
    if (uid !== undefined) this.uid = uid;
  }

  /** The pod's interface on the node, where nothing else had its name first. */
  get hostName(): string {
    return interfaceNameOf(this.podNamespace, this.pod);
  }

  /** Names of the links inside, but for the tunnels that some kernels put into every namespace. */
  get links(): unknown[] {
    return this.ip("link").filter((it) => it.ifname === "lo" || it.link_type === "ether")
      .map((it) => it.ifname);
  }
}
