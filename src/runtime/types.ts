/** What the project needs of a file system. Paths are "/"-separated; failures reject with a PithError naming the path. */
export interface Files {
  read(path: string): Promise<Uint8Array>;
  /** UTF-8, without a byte order mark. */
  readText(path: string): Promise<string>;
  /** Bytes [start, end). A range beyond the end of the file is a FormatError. */
  readRange(path: string, start: number, end: number): Promise<Uint8Array>;
  /** Bytes. */
  size(path: string): Promise<number>;
  exists(path: string): Promise<boolean>;
  /** Names (not paths) of a folder's entries, sorted. */
  list(path: string): Promise<string[]>;
  /** Replaces the whole file; the data is on the disk when the promise resolves. */
  write(path: string, data: Uint8Array | string | Iterable<Uint8Array> | AsyncIterable<Uint8Array>): Promise<void>;
  append(path: string, text: string): Promise<void>;
  /** What was appended so far survives a power cut. */
  sync(path: string): Promise<void>;
  /** Cuts the file to `size` bytes. */
  truncate(path: string, size: number): Promise<void>;
  /** With parents; an existing folder is fine. */
  mkdir(path: string): Promise<void>;
  /** Atomic within one file system, and on the disk when the promise resolves. */
  rename(from: string, to: string): Promise<void>;
  /** File or folder with its contents; a missing one is fine. */
  remove(path: string): Promise<void>;
}
