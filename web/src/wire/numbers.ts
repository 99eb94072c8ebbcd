/** Whole numbers of the wire: exact, as a `number` while that is safe and a `bigint` beyond. */
export type Whole = number | bigint;

/** Says that there is no value. */
const NULL_I64 = -(2n ** 63n);

export function narrow(value: bigint): Whole {
  return value >= BigInt(Number.MIN_SAFE_INTEGER) && value <= BigInt(Number.MAX_SAFE_INTEGER)
    ? Number(value)
    : value;
}

export function add(a: Whole, b: Whole): Whole {
  if (typeof a === "number" && typeof b === "number") {
    const sum = a + b;
    if (Number.isSafeInteger(sum)) return sum;
  }
  return narrow(BigInt(a) + BigInt(b));
}

export function subtract(a: Whole, b: Whole): Whole {
  return add(a, typeof b === "number" ? -b : -b);
}

/** Reads a body from its beginning; a RangeError where it ends too soon. */
export class Cursor {
  at = 0;
  private readonly view: DataView;

  constructor(bytes: Uint8Array) {
    this.view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  }

  get left(): number {
    return this.view.byteLength - this.at;
  }

  u8(): number {
    return this.view.getUint8(this.at++);
  }

  u16(): number {
    return this.skip(2, this.view.getUint16(this.at, true));
  }

  u32(): number {
    return this.skip(4, this.view.getUint32(this.at, true));
  }

  f32(): number {
    return this.skip(4, this.view.getFloat32(this.at, true));
  }

  u64(): Whole {
    return this.skip(8, narrow(this.view.getBigUint64(this.at, true)));
  }

  /** `null` where the wire says NULL. */
  i64(): Whole | null {
    const value = this.view.getBigInt64(this.at, true);
    return this.skip(8, value === NULL_I64 ? null : narrow(value));
  }

  /** Unsigned LEB128 of up to 64 bits. */
  varint(): Whole {
    let low = 0;
    let factor = 1;
    for (let nth = 0; nth < 7; nth++) {
      const byte = this.u8();
      low += (byte & 0x7f) * factor;
      if (byte < 0x80) return low;
      factor *= 128;
    }
    let wide = BigInt(low);
    for (let shift = 49n; shift < 70n; shift += 7n) {
      const byte = this.u8();
      wide |= BigInt(byte & 0x7f) << shift;
      if (byte < 0x80) return narrow(wide);
    }
    throw new RangeError("expected a number of at most 10 bytes");
  }

  /** A varint that counts things or names a row: beyond 2^53 it is damage. */
  count(): number {
    const value = this.varint();
    if (typeof value !== "number") throw new RangeError(`expected a count, found ${value}`);
    return value;
  }

  zigzag(): Whole {
    const value = this.varint();
    if (typeof value === "number") return value % 2 === 0 ? value / 2 : -(value + 1) / 2;
    return narrow((value >> 1n) ^ -(value & 1n));
  }

  bytes(length: number, of: Uint8Array): Uint8Array {
    if (length > this.left) throw new RangeError(`expected ${length} bytes, found ${this.left}`);
    const begin = this.at;
    this.at += length;
    return of.subarray(begin, begin + length);
  }

  private skip<T>(bytes: number, value: T): T {
    this.at += bytes;
    return value;
  }
}
