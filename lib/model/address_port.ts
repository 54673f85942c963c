/** An address with a transport protocol and a port: what a named port is on one pod. */

import { Address, type Family } from "../ip/address.ts";
import { type Protocol, PROTOCOL_NUMBERS } from "./workload.ts";

const ALL: readonly Protocol[] = ["TCP", "UDP", "SCTP"];

/** Equal ones have equal texts. */
export class AddressPort {
  readonly address: Address;
  readonly protocol: Protocol;
  readonly port: number;
  #text: string | undefined;

  constructor(address: Address, protocol: Protocol, port: number) {
    this.address = address;
    this.protocol = protocol;
    this.port = port;
  }

  /** Parses what `toString()` made. @throws {SyntaxError} if `text` is not that */
  static parse(text: string): AddressPort {
    const [address = "", number, port] = text.split(",");
    const protocol = ALL.find((it) => `${PROTOCOL_NUMBERS[it]}` === number);
    if (protocol === undefined || !/^\d{1,5}$/.test(port ?? "")) {
      throw new SyntaxError(`Cannot parse address and port "${text}"`);
    }
    return new AddressPort(Address.parse(address), protocol, Number(port));
  }

  /** The address's. */
  get family(): Family {
    return this.address.family;
  }

  /** `address,protocol number,port`. */
  toString(): string {
    this.#text ??= `${this.address},${PROTOCOL_NUMBERS[this.protocol]},${this.port}`;
    return this.#text;
  }

  /** JSON shows the text. */
  toJSON(): string {
    return this.toString();
  }
}
