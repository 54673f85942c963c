/**
 * Takes a list apart while its text comes in: each item by itself, and what is around them at the end. A
 * list that an API server answers out of its cache knows no pages, and whole it would be held three times
 * over: as bytes, as text and as objects. Only where JSON begins and ends an item is found here (RFC 8259);
 * what is in it is `JSON.parse`'s to read.
 */

/** The longest item that we read, and the most that may stand around all items; etcd takes 1.5 MB. */
const TEXT_LENGTH_MAX = 8 << 20;

/** Where JSON can change its depth, or begin a string. */
const STRUCTURE = /["{}[\],]/g;
/** Where a string can end. */
const STRING_END = /["\\]/g;

/** The items of an object are one array in it: depth 1 is in the object, depth 2 in the array. */
const ITEMS_DEPTH = 2;
const ITEMS_BEGIN = /"items"\s*:\s*$/;
const ITEMS_BEGIN_LENGTH_MAX = 64;

/** One list. */
export class ListText {
  readonly #onItem: (item: unknown) => void;
  /** What is around the items, as far as it has come. */
  #around = "";
  /** The item that is coming. */
  #item = "";
  #hasItem = false;
  #depth = 0;
  #isInItems = false;
  #isInString = false;
  #isEscaped = false;

  /** @param onItem is given each item of the array `items`, parsed */
  constructor(onItem: (item: unknown) => void) {
    this.#onItem = onItem;
  }

  /**
   * Takes the next piece of the text.
   *
   * @throws {SyntaxError} if an item is no JSON
   * @throws {RangeError} if an item, or what is around them, is longer than any may be
   */
  push(text: string): void {
    let taken = 0;
    const take = (end: number): void => {
      if (this.#isInItems) this.#item += text.slice(taken, end);
      else this.#around += text.slice(taken, end);
      taken = end;
    };
    for (let at = 0; at < text.length;) {
      if (this.#isInString) {
        at = this.#skipString(text, at);
        continue;
      }
      STRUCTURE.lastIndex = at;
      const found = STRUCTURE.exec(text);
      if (found === null) break;
      at = found.index + 1;
      switch (found[0]) {
        case '"':
          this.#isInString = true;
          break;
        case ",":
          if (!this.#isInItems || this.#depth > ITEMS_DEPTH) break;
          take(found.index);
          taken = at;
          this.#hasItem = true;
          this.#endItem();
          break;
        case "{":
        case "[":
          this.#depth++;
          if (this.#isInItems || this.#depth !== ITEMS_DEPTH || found[0] !== "[") break;
          take(found.index);
          if (!ITEMS_BEGIN.test(this.#around.slice(-ITEMS_BEGIN_LENGTH_MAX))) break;
          take(at);
          this.#isInItems = true;
          break;
        case "}":
        case "]":
          if (this.#isInItems && this.#depth === ITEMS_DEPTH) {
            take(found.index);
            this.#endItem();
            this.#isInItems = false;
            this.#hasItem = false;
          }
          this.#depth--;
          break;
      }
    }
    take(text.length);
    if (this.#item.length > TEXT_LENGTH_MAX || this.#around.length > TEXT_LENGTH_MAX) {
      throw new RangeError(`Part of a list has more than ${TEXT_LENGTH_MAX} characters`);
    }
  }

  /**
   * What is around the items, at the end of the text: of the array `items` it has nothing but that it is one.
   *
   * @throws {SyntaxError} if it is no JSON
   */
  end(): unknown {
    return JSON.parse(this.#around);
  }

  /** Where the string ends in which `at` is, or the text does. */
  #skipString(text: string, at: number): number {
    if (this.#isEscaped) {
      this.#isEscaped = false;
      return at + 1;
    }
    STRING_END.lastIndex = at;
    const found = STRING_END.exec(text);
    if (found === null) return text.length;
    if (found[0] === '"') this.#isInString = false;
    else this.#isEscaped = true;
    return found.index + 1;
  }

  /** An array without items has none before its end; after a comma there must be one. */
  #endItem(): void {
    if (this.#hasItem || this.#item.trim() !== "") this.#onItem(JSON.parse(this.#item));
    this.#item = "";
  }
}
