/**
 * Reservations as lines of one text, which is also how they lie on disk (`reservation_index.ts`):
 * `<address> <container> <interface>`, `<address> <container>` for the old form, `<address>` where the
 * holder is unknown. A look-up searches the text, which takes microseconds even with thousands of lines;
 * parsing them would take longer than everything else that a call does.
 */

import { type Holder, isAddressName, type Reservation } from "./reservation.ts";

/** Addresses and their holders. */
export class ReservationTable {
  /** The lines, with a line break before the first and after every one. */
  #text: string;

  private constructor(text: string) {
    this.#text = text;
  }

  /** Takes over lines, each with its line break. */
  static fromText(text: string): ReservationTable {
    return new ReservationTable("\n" + text);
  }

  static of(reservations: readonly Reservation[]): ReservationTable {
    return ReservationTable.fromText(reservations.map(lineOf).join(""));
  }

  /** The lines, each with its line break. */
  get text(): string {
    return this.#text.slice(1);
  }

  /** All reservations; malformed lines are skipped. */
  get reservations(): Reservation[] {
    return this.text.split("\n").filter((it) => it !== "").map(parseLine)
      .filter((it) => isAddressName(it.address));
  }

  has(address: string): boolean {
    return this.#text.includes(`\n${address} `) || this.#text.includes(`\n${address}\n`);
  }

  /** The addresses of exactly this holder. */
  find(holder: Holder): string[] {
    const end = ` ${keyOf(holder)}\n`;
    const found: string[] = [];
    for (let at = this.#text.indexOf(end); at >= 0; at = this.#text.indexOf(end, at + 1)) {
      const address = this.#text.slice(this.#text.lastIndexOf("\n", at) + 1, at);
      // Of the other form, if there is a container's id left.
      if (!address.includes(" ")) found.push(address);
    }
    return found;
  }

  /** Adds an address that is not there yet. */
  add(reservation: Reservation): void {
    this.#text += lineOf(reservation);
  }

  /** Takes an address out, if it is there. */
  delete(address: string): void {
    for (const start of [`\n${address} `, `\n${address}\n`]) {
      const at = this.#text.indexOf(start);
      if (at < 0) continue;
      const end = this.#text.indexOf("\n", at + 1);
      this.#text = this.#text.slice(0, at) + this.#text.slice(end);
    }
  }
}

function lineOf({ address, holder }: Reservation): string {
  return holder === undefined ? `${address}\n` : `${address} ${keyOf(holder)}\n`;
}

function keyOf({ containerId, ifname }: Holder): string {
  return ifname === undefined ? containerId : `${containerId} ${ifname}`;
}

function parseLine(line: string): Reservation {
  const [address = "", containerId, ifname] = line.split(" ");
  return { address, holder: containerId === undefined ? undefined : { containerId, ifname } };
}
