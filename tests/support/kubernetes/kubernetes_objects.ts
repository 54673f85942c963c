/** Objects that a test makes on an API server, small or real, and takes away again. */

/** The part of an API server that objects need. */
export interface ObjectApi {
  fetch(path: string, init?: RequestInit): Promise<Response>;
}

/** A Kubernetes object, as JSON. */
export interface KubernetesObject {
  readonly metadata: { readonly name: string; readonly [key: string]: unknown };
  readonly [key: string]: unknown;
}

/** Makes objects, and deletes them again in reverse. */
export class KubernetesObjects {
  readonly pods: string;
  readonly policies: string;
  readonly #api: ObjectApi;
  readonly #made: string[] = [];

  constructor(api: ObjectApi, namespace: string) {
    this.#api = api;
    this.pods = `/api/v1/namespaces/${namespace}/pods`;
    this.policies = `/apis/networking.k8s.io/v1/namespaces/${namespace}/networkpolicies`;
  }

  async create(
    path: string,
    object: KubernetesObject,
  ): Promise<void> {
    await this.#send("POST", path, "application/json", object);
    this.#made.push(`${path}/${object.metadata.name}`);
  }

  async patch(path: string, object: unknown): Promise<void> {
    await this.#send("PATCH", path, "application/merge-patch+json", object);
  }

  async delete(path: string): Promise<void> {
    await this.#send("DELETE", path, "application/json", { gracePeriodSeconds: 0 });
  }

  async deleteAll(): Promise<void> {
    for (const path of this.#made.reverse()) await this.delete(path).catch(() => {});
  }

  async #send(method: string, path: string, type: string, object: unknown): Promise<void> {
    const response = await this.#api.fetch(path, {
      method,
      headers: { "content-type": type },
      body: JSON.stringify(object),
    });
    const text = await response.text();
    if (!response.ok) throw new Error(`${method} ${path}: ${response.status} ${text}`);
  }
}

/** A pod bound to `node`. No container runtime runs it: the tests need only its network. */
export function podObject(name: string, namespace: string, node: string): KubernetesObject {
  return {
    apiVersion: "v1",
    kind: "Pod",
    metadata: { name, namespace, labels: { app: name } },
    spec: {
      nodeName: node,
      automountServiceAccountToken: false,
      containers: [{ name: "main", image: "none", ports: [{ containerPort: 80, name: "http" }] }],
    },
  };
}

/** Only `friend` may reach `server`. */
export function policyObject(namespace: string): KubernetesObject {
  return {
    apiVersion: "networking.k8s.io/v1",
    kind: "NetworkPolicy",
    metadata: { name: "allow-friend", namespace },
    spec: {
      podSelector: { matchLabels: { app: "server" } },
      ingress: [{ from: [{ podSelector: { matchLabels: { app: "friend" } } }] }],
    },
  };
}
