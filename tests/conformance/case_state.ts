/**
 * The cluster of a case while its actions are followed: what the loaders change, and take snapshots
 * of. An action that cannot be (an update of what is not there) is an error in the case file.
 */

import { Address } from "../../lib/ip/address.ts";
import { Prefix } from "../../lib/ip/prefix.ts";
import type { Labels } from "../../lib/model/labels.ts";
import { keyOf } from "../../lib/model/workload.ts";
import type { CasePod, Snapshot } from "./case.ts";
import { Json, type JsonObject, mapTexts } from "./json.ts";

/** The label that the API server gives every namespace. */
const NAME_LABEL = "kubernetes.io/metadata.name";

/** Where addresses of pods begin that the case file leaves open. */
const FIRST_ADDRESS = Address.parse("192.168.1.1").value;

/** A pod whose address may be left open. */
export type PodDraft = Omit<CasePod, "address"> & { readonly address?: string };

/** Applies the actions of a case to namespaces, pods and policies. */
export class CaseState {
  readonly #namespaces = new Map<string, Labels>();
  readonly #pods = new Map<string, CasePod>();
  readonly #policies = new Map<string, JsonObject>();
  readonly #clusterPolicies = new Map<string, JsonObject>();

  /** The policies as they are now, in the order of their creation. */
  get clusterPolicies(): ReadonlyMap<string, JsonObject> {
    return this.#clusterPolicies;
  }

  /** What is there now. */
  snapshot(): Snapshot {
    return {
      namespaces: new Map(this.#namespaces),
      pods: new Map(this.#pods),
      policies: new Map(this.#policies),
      clusterPolicies: new Map(this.#clusterPolicies),
    };
  }

  /** Makes a namespace, or gives it these labels. */
  setNamespace(name: string, labels: Labels): void {
    this.#namespaces.set(name, { ...labels, [NAME_LABEL]: name });
  }

  /** Adds labels to a namespace. */
  addNamespaceLabels(name: string, labels: Labels): void {
    this.setNamespace(name, { ...find(this.#namespaces, "namespace", name), ...labels });
  }

  /** Deletes a namespace with all that is in it. */
  deleteNamespace(name: string): void {
    find(this.#namespaces, "namespace", name);
    this.#namespaces.delete(name);
    for (const objects of [this.#pods, this.#policies]) {
      for (const key of objects.keys()) if (key.startsWith(`${name}/`)) objects.delete(key);
    }
  }

  /** Makes a pod; without an address it gets the first that is free. */
  addPod(draft: PodDraft): void {
    find(this.#namespaces, "namespace", draft.namespace);
    const key = `${draft.namespace}/${draft.name}`;
    this.#pods.set(key, { ...draft, address: draft.address ?? this.#freeAddress() });
  }

  deletePod(key: string): void {
    this.#pods.delete(keyOf(this.pod(key)));
  }

  /** Gives a pod these labels and no others. */
  setPodLabels(key: string, labels: Labels): void {
    const pod = this.pod(key);
    this.#pods.set(keyOf(pod), { ...pod, labels });
  }

  /** Adds labels to a pod. */
  addPodLabels(key: string, labels: Labels): void {
    this.setPodLabels(key, { ...this.pod(key).labels, ...labels });
  }

  /**
   * Takes a policy of either kind, with its placeholders filled in; `isNew` as the action says. Without a
   * kind it is a NetworkPolicy: in upstream's e2e suite policies are Go values, whose type says it.
   */
  putPolicy(object: Json, isNew: boolean): void {
    const filled = mapTexts(object.object(), (text) => this.#fill(text)) as JsonObject;
    const kind = object.get("kind").exists ? object.get("kind").text() : "NetworkPolicy";
    const metadata = object.get("metadata");
    const name = metadata.get("name").text();
    if (kind === "ClusterNetworkPolicy") {
      put(this.#clusterPolicies, name, filled, isNew);
    } else if (kind === "NetworkPolicy") {
      put(this.#policies, `${metadata.get("namespace").text()}/${name}`, filled, isNew);
    } else {
      throw new SyntaxError(`${object.path}: kind "${kind}" is no policy`);
    }
  }

  /** Puts another object in the place of a cluster policy. */
  replaceClusterPolicy(name: string, object: JsonObject): void {
    put(this.#clusterPolicies, name, object, false);
  }

  deletePolicy(key: string): void {
    find(this.#policies, "policy", key);
    this.#policies.delete(key);
  }

  deleteClusterPolicy(name: string): void {
    find(this.#clusterPolicies, "policy", name);
    this.#clusterPolicies.delete(name);
  }

  /** Deletes all NetworkPolicies. */
  deletePolicies(): void {
    this.#policies.clear();
  }

  /** The pod of a key, or of a name that only one has. */
  pod(key: string): CasePod {
    const named = [...this.#pods.values()].filter((it) => it.name === key);
    return named.length === 1 && named[0] !== undefined ? named[0] : find(this.#pods, "pod", key);
  }

  /** `${IP:x/b}` is a pod's address, `${NET4:x/b}` the network of four bits around it. */
  #fill(text: string): string {
    return text.replaceAll(/\$\{([^}]*)\}/g, (whole, inner: string) => {
      const match = /^(?:IP|NET(\d{1,3})):(.+)$/.exec(inner);
      if (match?.[2] === undefined) throw new SyntaxError(`Placeholder ${whole} is not known`);
      const { address } = this.pod(match[2]);
      if (match[1] === undefined) return address;
      return String(new Prefix(Address.parse(address), Number(match[1])).network);
    });
  }

  #freeAddress(): string {
    const taken = new Set([...this.#pods.values()].map((it) => it.address));
    for (let value = FIRST_ADDRESS;; value++) {
      const text = String(Address.of(4, value));
      if (!taken.has(text)) return text;
    }
  }
}

function find<T>(objects: ReadonlyMap<string, T>, what: string, key: string): T {
  const object = objects.get(key);
  if (object === undefined) throw new SyntaxError(`There is no ${what} "${key}"`);
  return object;
}

function put(
  policies: Map<string, JsonObject>,
  key: string,
  object: JsonObject,
  isNew: boolean,
): void {
  if (isNew === policies.has(key)) {
    throw new SyntaxError(`Policy "${key}" ${isNew ? "is there already" : "is not there"}`);
  }
  policies.set(key, object);
}
