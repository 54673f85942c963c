/**
 * The objects that the naive evaluator takes: the fields of Kubernetes' JSON that policy is about, as
 * their API documents them. Objects may have more.
 */

/** Labels of an object. */
export type NaiveLabels = Readonly<Record<string, string>>;

export interface NaiveSelector {
  readonly matchLabels?: NaiveLabels;
  readonly matchExpressions?: readonly {
    readonly key: string;
    readonly operator: "In" | "NotIn" | "Exists" | "DoesNotExist";
    readonly values?: readonly string[];
  }[];
}

export interface NaiveNamespace {
  readonly metadata: { readonly name: string; readonly labels?: NaiveLabels };
}

export interface NaiveNode {
  readonly metadata: { readonly name: string; readonly labels?: NaiveLabels };
  readonly status: { readonly addresses: readonly { readonly address: string }[] };
}

export interface NaivePod {
  readonly metadata: {
    readonly namespace: string;
    readonly name: string;
    readonly labels?: NaiveLabels;
  };
  readonly spec: {
    readonly nodeName?: string;
    readonly hostNetwork?: boolean;
    readonly containers: readonly {
      readonly ports?: readonly {
        readonly name?: string;
        readonly containerPort: number;
        readonly protocol?: string;
      }[];
    }[];
  };
  readonly status: {
    readonly phase: string;
    readonly podIPs?: readonly { readonly ip: string }[];
  };
}

export interface NaivePeer {
  readonly podSelector?: NaiveSelector;
  readonly namespaceSelector?: NaiveSelector;
  readonly ipBlock?: { readonly cidr: string; readonly except?: readonly string[] };
}

export interface NaivePort {
  readonly protocol?: string;
  readonly port?: number | string;
  readonly endPort?: number;
}

export interface NaiveRule {
  readonly from?: readonly NaivePeer[];
  readonly to?: readonly NaivePeer[];
  readonly ports?: readonly NaivePort[];
}

export interface NaivePolicy {
  readonly metadata: { readonly namespace: string; readonly name: string };
  readonly spec: {
    readonly podSelector?: NaiveSelector;
    readonly policyTypes?: readonly ("Ingress" | "Egress")[];
    readonly ingress?: readonly NaiveRule[];
    readonly egress?: readonly NaiveRule[];
  };
}

/** Pods by labels of their namespace and their own. */
export interface NaivePods {
  readonly namespaceSelector?: NaiveSelector;
  readonly podSelector?: NaiveSelector;
}

export interface NaiveClusterPeer {
  readonly namespaces?: NaiveSelector;
  readonly pods?: NaivePods;
  readonly nodes?: NaiveSelector;
  readonly networks?: readonly string[];
}

/** A protocol, and a port of it. */
export interface NaiveTransport {
  readonly destinationPort?: {
    readonly number?: number;
    readonly range?: { readonly start: number; readonly end: number };
  };
}

export interface NaiveProtocol {
  readonly tcp?: NaiveTransport;
  readonly udp?: NaiveTransport;
  readonly sctp?: NaiveTransport;
  readonly destinationNamedPort?: string;
}

export interface NaiveClusterRule {
  readonly action: "Accept" | "Deny" | "Pass";
  readonly from?: readonly NaiveClusterPeer[];
  readonly to?: readonly NaiveClusterPeer[];
  readonly protocols?: readonly NaiveProtocol[];
}

export interface NaiveClusterPolicy {
  readonly metadata: { readonly name: string };
  readonly spec: {
    readonly tier: "Admin" | "Baseline";
    readonly priority: number;
    readonly subject: { readonly namespaces?: NaiveSelector; readonly pods?: NaivePods };
    readonly ingress?: readonly NaiveClusterRule[];
    readonly egress?: readonly NaiveClusterRule[];
  };
}

/** Objects of a cluster, as the API has them. */
export interface NaiveCluster {
  readonly namespaces: readonly NaiveNamespace[];
  readonly nodes: readonly NaiveNode[];
  readonly pods: readonly NaivePod[];
  readonly policies: readonly NaivePolicy[];
  readonly clusterPolicies: readonly NaiveClusterPolicy[];
}
