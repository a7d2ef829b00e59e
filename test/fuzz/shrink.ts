/**
 * Makes a failing round small: fewer steps first (delta debugging: drop ever smaller runs of steps while it still fails),
 * then fewer words per step. Any difference counts as the same failure: a second fault found on the way is worth as much.
 */
import { playRound, settled, type Arena, type Difference, type Round, type Step } from './round.js'

/** How many times a round is played again at most. */
const MAX_PLAYS = 600

/** The smallest round found that still fails, with its difference. */
export async function shrink(arena: Arena, round: Round, difference: Difference): Promise<{ round: Round; difference: Difference }> {
  let best = { round, difference }
  let plays = 0
  const attempt = async (wanted: Step[]): Promise<boolean> => {
    if (plays++ >= MAX_PLAYS) return false
    const steps = settled(wanted)
    const candidate = { ...round, steps }
    const found = await playRound(arena, candidate)
    if (found === undefined) return false
    best = { round: { ...candidate, steps: found.step === undefined ? steps : steps.slice(0, found.step + 1) }, difference: found }
    return true
  }

  if (difference.step !== undefined) await attempt(round.steps.slice(0, difference.step + 1))
  for (let size = Math.ceil(best.round.steps.length / 2); size >= 1; size = size === 1 ? 0 : Math.ceil(size / 2)) {
    for (let at = best.round.steps.length - size; at >= 0; at -= size) {
      const { steps } = best.round
      if (at + size <= steps.length) await attempt([...steps.slice(0, at), ...steps.slice(at + size)])
    }
  }
  for (let at = 0; at < best.round.steps.length; at++) {
    for (let size = Math.ceil((best.round.steps[at]?.words.length ?? 0) / 2); size >= 1; size = size === 1 ? 0 : Math.ceil(size / 2)) {
      for (let from = 1; at < best.round.steps.length && from + size <= best.round.steps[at].words.length;) {
        const steps = [...best.round.steps]
        const words = [...steps[at].words]
        words.splice(from, size)
        steps[at] = { ...steps[at], words }
        if (!(await attempt(steps))) from += size
      }
    }
  }
  return best
}
