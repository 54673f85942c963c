/**
 * What one pod of this node brings into the desired state: its endpoints, the programs that govern it, and
 * their policies. A change of any fact about the pod recomputes all of it.
 */

import { sortedByText } from "../ip/address.ts";
import type { DenyAction, DesiredEndpoint, DesiredProgram } from "../model/desired.ts";
import { type Direction, DIRECTIONS } from "../model/policy.ts";
import { keyOf, type Workload } from "../model/workload.ts";
import { type AnyPolicy, type CompiledPolicy, compilePolicy } from "./compile.ts";
import type { FactStore } from "./fact_store.ts";
import type { LocalPods } from "./local_pods.ts";
import { concerns, governs } from "./select.ts";

/** The part of the desired state that one pod of this node needs. */
export interface LocalPart {
  readonly endpoints: readonly DesiredEndpoint[];
  readonly programs: readonly DesiredProgram[];
  readonly policies: readonly CompiledPolicy[];
}

/** Where the parts come from. */
export interface LocalPartOptions {
  readonly facts: FactStore;
  readonly local: LocalPods;
  /** What happens to denied packets, unless a namespace's annotation says. */
  readonly denyAction: DenyAction;
  /** The program of this id, if one is in use. */
  readonly programOf: (id: string) => DesiredProgram | undefined;
}

type Compiled = Readonly<Record<Direction, CompiledPolicy>>;

/** Computes the parts, and compiles each policy once. */
export class LocalPartMaker {
  readonly #options: LocalPartOptions;
  readonly #facts: FactStore;
  readonly #local: LocalPods;
  readonly #compiled = new WeakMap<AnyPolicy, Compiled>();

  constructor(options: LocalPartOptions) {
    this.#options = options;
    this.#facts = options.facts;
    this.#local = options.local;
  }

  /** Computes the part of the pod with this key from the current facts. */
  make(key: string): LocalPart {
    const workload = this.#facts.workload(key);
    // Without its namespace's labels we cannot tell which policies select the pod: it stays closed.
    if (workload === undefined || this.#facts.namespace(workload.namespace) === undefined) {
      return { endpoints: [], programs: [], policies: [] };
    }
    const policies: CompiledPolicy[] = [];
    const [ingress, egress] = DIRECTIONS.map((it) => this.#programOf(workload, it, policies));
    const hostEgress = egress && this.#hostProgramOf(egress);
    const addresses = sortedByText(this.#facts.addressesOf(workload))
      .filter((it) => !this.#isOfAnother(it.toString(), key));
    const interfaces = this.#local.interfacesOf(key, workload);
    const ways = interfaces.size === 0 && addresses.length > 0 ? [undefined] : [...interfaces];
    const attached = (interfaceName: string | undefined): ReadonlySet<string> =>
      new Set(
        this.#facts.attachmentsOf(workload)
          .filter((it) => it.interfaceName === interfaceName)
          .flatMap((it) => it.addresses.map(String)),
      );
    const endpoints = ways.map((interfaceName) => ({
      interfaceName,
      workload: key,
      uid: workload.uid,
      addresses,
      attachedAddresses: addresses.filter((it) => attached(interfaceName).has(it.toString())),
      ingress: ingress?.id,
      egress: egress?.id,
      hostEgress: hostEgress?.id,
    }));
    // Also without an endpoint: a pod's policy chain is in the kernel before the pod starts.
    const programs = [ingress, egress, hostEgress].filter((it) => it !== undefined);
    return { endpoints, programs, policies };
  }

  /** Whether another pod of this node holds the address. The claim of a pod on another node does not count. */
  #isOfAnother(address: string, key: string): boolean {
    const holder = this.#facts.podAt(address);
    return holder !== undefined && keyOf(holder) !== key && this.#local.has(keyOf(holder));
  }

  /** @param used takes the policies of the program */
  #programOf(
    workload: Workload,
    direction: Direction,
    used: CompiledPolicy[],
  ): DesiredProgram | undefined {
    const namespace = this.#facts.namespace(workload.namespace);
    const tier = (name: "admin" | "baseline"): readonly AnyPolicy[] =>
      this.#facts.clusterPoliciesOf(name)
        .filter((policy) => concerns(policy, workload, namespace?.labels, direction));
    const namespaced = [...this.#facts.policiesOf(workload.namespace)]
      .filter((policy) => governs(policy, workload, direction))
      .sort((a, b) => (a.name < b.name ? -1 : 1));
    const use = (policies: readonly AnyPolicy[]): readonly string[] =>
      policies.map((policy) => {
        const compiled = this.#compile(policy)[direction];
        used.push(compiled);
        return compiled.policy.id;
      });
    const tiers = {
      admin: use(tier("admin")),
      namespaced: use(namespaced),
      // Packets of a pod that NetworkPolicies govern never reach the Baseline tier.
      baseline: namespaced.length > 0 ? [] : use(tier("baseline")),
    };
    if (Object.values(tiers).every((it) => it.length === 0)) return undefined;
    const denyAction = namespace?.denyAction ?? this.#options.denyAction;
    return this.#intern({ direction, denyAction, ...tiers });
  }

  /**
   * The tiers of the cluster alone, for what a pod sends to its own node. A pod that NetworkPolicies
   * govern never gets as far as the baseline.
   */
  #hostProgramOf(egress: DesiredProgram): DesiredProgram | undefined {
    const { admin, baseline, direction, denyAction } = egress;
    if (admin.length === 0 && baseline.length === 0) return undefined;
    if (egress.namespaced.length === 0) return egress;
    return this.#intern({ direction, denyAction, admin, namespaced: [], baseline });
  }

  /** Returns the same object for equal contents, so that the compiler can compare by identity. */
  #intern(program: Omit<DesiredProgram, "id">): DesiredProgram {
    const id = [
      program.denyAction,
      ...program.admin,
      ...program.namespaced,
      ...program.baseline,
    ].join(" ");
    return this.#options.programOf(id) ?? { id, ...program };
  }

  #compile(policy: AnyPolicy): Compiled {
    let compiled = this.#compiled.get(policy);
    if (compiled === undefined) {
      compiled = {
        ingress: compilePolicy(policy, "ingress"),
        egress: compilePolicy(policy, "egress"),
      };
      this.#compiled.set(policy, compiled);
    }
    return compiled;
  }
}
