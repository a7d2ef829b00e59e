/**
 * One line of a terminal that is drawn over itself while lines of text scroll by above it, and the bar in it.
 *
 * Nothing is left behind: `clear` takes the line away, also when the program ends by itself, and the cursor is never
 * hidden, so a kill leaves a usable terminal. A line is never wider than the terminal; after the terminal was made
 * narrower, what had been drawn takes more than one row of it, and all of them are cleared.
 */

/** What is needed of a terminal; process.stdout and process.stderr are such. */
export interface TerminalStream {
  readonly isTTY?: boolean
  readonly columns?: number
  write(text: string): unknown
  on?(event: 'resize', listener: () => void): unknown
  off?(event: 'resize', listener: () => void): unknown
}

const CLEAR_TO_END = '\x1b[J'
/** What a terminal that does not tell its width is taken to have. */
const DEFAULT_COLUMNS = 80

export class LiveLine {
  /** Width of what stands there, 0 when nothing does. */
  private drawnWidth = 0
  private readonly onResize = (): void => this.redraw?.()
  private readonly onExit = (): void => this.clear()

  /** `redraw` is called when the terminal's width has changed. */
  constructor(
    private readonly stream: TerminalStream,
    private readonly redraw?: () => void,
  ) {
    stream.on?.('resize', this.onResize)
    process.on('exit', this.onExit)
  }

  /** The widest line that fits: the last column stays free, or terminals would wrap. */
  get columns(): number {
    return Math.max(1, (this.stream.columns ?? DEFAULT_COLUMNS) - 1)
  }

  /** Draws over what was drawn before. `width` is that of the text without its colours, at most `columns`. */
  draw(text: string, width: number): void {
    this.stream.write(this.start() + text + CLEAR_TO_END)
    this.drawnWidth = width
  }

  /** Writes a whole line above the live one, which is gone until the next `draw`. */
  say(line: string): void {
    this.clear()
    this.stream.write(`${line}\n`)
  }

  clear(): void {
    if (this.drawnWidth === 0) return
    this.stream.write(this.start() + CLEAR_TO_END)
    this.drawnWidth = 0
  }

  /** Leaves what is drawn as a line of its own. */
  keep(): void {
    if (this.drawnWidth > 0) this.stream.write('\n')
    this.drawnWidth = 0
  }

  /** Clears the line and lets go of the terminal. */
  close(): void {
    this.clear()
    this.stream.off?.('resize', this.onResize)
    process.off('exit', this.onExit)
  }

  /** Moves the cursor to where the drawn text begins. */
  private start(): string {
    const rowsAbove = this.drawnWidth === 0 ? 0 : Math.ceil(this.drawnWidth / (this.columns + 1)) - 1
    return rowsAbove > 0 ? `\r\x1b[${rowsAbove}A` : '\r'
  }
}

/** A bar of `width` characters, `part` of it (0 to 1) full. */
export function bar(part: number, width: number, isColoured: boolean): string {
  const full = Math.round(Math.min(1, Math.max(0, part)) * width)
  const [done, left] = ['█'.repeat(full), '░'.repeat(width - full)]
  return isColoured ? `\x1b[32m${done}\x1b[90m${left}\x1b[0m` : done + left
}

/** Whether to use colours there: a terminal, and nobody said NO_COLOR (no-color.org). */
export function wantsColour(stream: TerminalStream, env: Readonly<Record<string, string | undefined>> = process.env): boolean {
  return stream.isTTY === true && (env['NO_COLOR'] ?? '') === '' && env['TERM'] !== 'dumb'
}
