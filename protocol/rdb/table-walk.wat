;; The deep check of a table's elements (sets, hashes, sorted sets) over a window of linear memory.
;;
;; It accepts only keys in the one form a server writes: shortest length, smallest integer form, no text that has
;; an integer form, nothing compressed. Then two keys are the same text exactly if their encoded bytes are equal,
;; and those can be hashed as they stand. Whatever else comes up, right or wrong, makes it give up, and
;; table.ts, which knows every form and every error, begins again.
;;
;; What is remembered of a key is its hash, first in the order of the keys: 48 bits of it, appended to the part that
;; its high bits name. `settle` then takes a part through a small open-addressing table, which stays in the
;; processor's cache; one table for a million keys would cost a cache miss and, at first touch, a page each.
;; A slot holds 32 of the bits, the other 16 choose it. Meeting the same 32 near the same slot means a duplicate
;; or, once in thousands of large tables, chance: it gives up. It also gives up when keys share a part or slots
;; more than chance has it, so hostile keys cost no more than their number.
;;
;; Memory, filled by table-walk.ts:
;;   0x00000  i64        the hash's key
;;   0x00008  i32        out: where the element begins that was not taken
;;   0x00100             the window; a few bytes beyond it are read and masked out
;;   0x10000  256 x i32  where each part is appended to
;;   0x10400  256 x i32  where its room ends
;;   0x10800  i32 each   slots, 16384 at most; zero where free
;;   0x20800  6 bytes each, part after part: hashes; an append writes two bytes more
;; scripts/wasm.mjs turns this text into table-walk-wasm.ts.
(module
  (memory (export "memory") 3)

  (func $u32be (param $at i32) (result i32)
    (local $x i32)
    (local.set $x (i32.load (local.get $at)))
    (i32.or
      (i32.and (i32.rotl (local.get $x) (i32.const 8)) (i32.const 0x00ff00ff))
      (i32.and (i32.rotr (local.get $x) (i32.const 8)) (i32.const 0xff00ff00))))

  ;; Takes up to $left elements from [$p, $end). $kind: 0 key; 1 key and string; 2 key and f64. $mask: parts - 1.
  ;; Returns how many are left, or -1 when it gives up. It stops before an element whose key, score or length is
  ;; cut by the window's end; a plain string may reach beyond it, and so may the position it leaves.
  (func (export "walk") (param $p i32) (param $end i32) (param $left i32) (param $kind i32) (param $mask i32) (result i32)
    (local $first i32) (local $size i32) (local $q i32) (local $digit i32) (local $minus i32)
    (local $part i32) (local $to i32) (local $value i64) (local $hash i64)
    (block $give_up
      (block $stop
        (loop $elements
          (br_if $stop (i32.eqz (local.get $left)))
          (br_if $stop (i32.ge_u (local.get $p) (local.get $end)))
          (local.set $first (i32.load8_u (local.get $p)))

          ;; The key: $size becomes that of its encoded form, which is then known to be all there.
          (block $key
            (if (i32.lt_u (local.get $first) (i32.const 0x40))
              (then
                (local.set $size (i32.add (local.get $first) (i32.const 1)))
                (br_if $stop (i32.gt_u (local.get $size) (i32.sub (local.get $end) (local.get $p))))
                ;; 1 to 11 bytes: not the text of an int32.
                (br_if $key (i32.ge_u (local.get $first) (i32.const 12)))
                (br_if $key (i32.eqz (local.get $first)))
                (local.set $q (i32.add (local.get $p) (i32.const 1)))
                (local.set $minus (i32.eq (i32.load8_u (local.get $q)) (i32.const 45)))
                (local.set $q (i32.add (local.get $q) (local.get $minus)))
                (local.set $first (i32.add (local.get $p) (local.get $size)))
                (br_if $key (i32.eq (local.get $q) (local.get $first)))
                (local.set $digit (i32.sub (i32.load8_u (local.get $q)) (i32.const 48)))
                (br_if $key (i32.gt_u (local.get $digit) (i32.const 9)))
                (if (i32.eqz (local.get $digit))
                  (then
                    (br_if $give_up (i32.eq (local.get $size) (i32.const 2)))
                    (br $key)))
                (local.set $value (i64.extend_i32_u (local.get $digit)))
                (loop $digits
                  (local.set $q (i32.add (local.get $q) (i32.const 1)))
                  (if (i32.eq (local.get $q) (local.get $first))
                    (then
                      (br_if $give_up
                        (i64.le_u
                          (local.get $value)
                          (i64.add (i64.const 0x7fffffff) (i64.extend_i32_u (local.get $minus)))))
                      (br $key)))
                  (local.set $digit (i32.sub (i32.load8_u (local.get $q)) (i32.const 48)))
                  (br_if $key (i32.gt_u (local.get $digit) (i32.const 9)))
                  (local.set $value
                    (i64.add (i64.mul (local.get $value) (i64.const 10)) (i64.extend_i32_u (local.get $digit))))
                  (br $digits))))
            (if (i32.lt_u (local.get $first) (i32.const 0x80))
              (then
                (br_if $stop (i32.lt_u (i32.sub (local.get $end) (local.get $p)) (i32.const 2)))
                (local.set $size
                  (i32.or
                    (i32.shl (i32.and (local.get $first) (i32.const 63)) (i32.const 8))
                    (i32.load8_u offset=1 (local.get $p))))
                (br_if $give_up (i32.lt_u (local.get $size) (i32.const 64)))
                (local.set $size (i32.add (local.get $size) (i32.const 2)))
                (br_if $stop (i32.gt_u (local.get $size) (i32.sub (local.get $end) (local.get $p))))
                (br $key)))
            (if (i32.eq (local.get $first) (i32.const 0x80))
              (then
                (br_if $stop (i32.lt_u (i32.sub (local.get $end) (local.get $p)) (i32.const 5)))
                (local.set $size (call $u32be (i32.add (local.get $p) (i32.const 1))))
                (br_if $give_up (i32.lt_u (local.get $size) (i32.const 0x4000)))
                ;; No window holds it.
                (br_if $give_up (i32.gt_u (local.get $size) (i32.const 0x10000)))
                (local.set $size (i32.add (local.get $size) (i32.const 5)))
                (br_if $stop (i32.gt_u (local.get $size) (i32.sub (local.get $end) (local.get $p))))
                (br $key)))
            (br_if $give_up (i32.lt_u (local.get $first) (i32.const 0xc0)))
            (if (i32.eq (local.get $first) (i32.const 0xc0))
              (then
                (local.set $size (i32.const 2))
                (br_if $stop (i32.lt_u (i32.sub (local.get $end) (local.get $p)) (i32.const 2)))
                (br $key)))
            (if (i32.eq (local.get $first) (i32.const 0xc1))
              (then
                (local.set $size (i32.const 3))
                (br_if $stop (i32.lt_u (i32.sub (local.get $end) (local.get $p)) (i32.const 3)))
                (br_if $give_up
                  (i32.lt_u (i32.add (i32.load16_s offset=1 (local.get $p)) (i32.const 0x80)) (i32.const 0x100)))
                (br $key)))
            (br_if $give_up (i32.ne (local.get $first) (i32.const 0xc2)))
            (local.set $size (i32.const 5))
            (br_if $stop (i32.lt_u (i32.sub (local.get $end) (local.get $p)) (i32.const 5)))
            (br_if $give_up
              (i32.lt_u (i32.add (i32.load offset=1 (local.get $p)) (i32.const 0x8000)) (i32.const 0x10000))))

          ;; What follows the key: $q becomes the end of the element.
          (local.set $q (i32.add (local.get $p) (local.get $size)))
          (block $second
            (br_if $second (i32.eqz (local.get $kind)))
            (if (i32.eq (local.get $kind) (i32.const 2))
              (then
                (br_if $stop (i32.lt_u (i32.sub (local.get $end) (local.get $q)) (i32.const 8)))
                ;; Not a number: all bits of the exponent and one of the fraction.
                (br_if $give_up
                  (i64.gt_u
                    (i64.and (i64.load (local.get $q)) (i64.const 0x7fffffffffffffff))
                    (i64.const 0x7ff0000000000000)))
                (local.set $q (i32.add (local.get $q) (i32.const 8)))
                (br $second)))
            (br_if $stop (i32.eq (local.get $q) (local.get $end)))
            (local.set $first (i32.load8_u (local.get $q)))
            (if (i32.lt_u (local.get $first) (i32.const 0x40))
              (then
                (local.set $q (i32.add (i32.add (local.get $q) (local.get $first)) (i32.const 1)))
                (br $second)))
            (if (i32.lt_u (local.get $first) (i32.const 0x80))
              (then
                (br_if $stop (i32.lt_u (i32.sub (local.get $end) (local.get $q)) (i32.const 2)))
                (local.set $q
                  (i32.add
                    (i32.add (local.get $q) (i32.const 2))
                    (i32.or
                      (i32.shl (i32.and (local.get $first) (i32.const 63)) (i32.const 8))
                      (i32.load8_u offset=1 (local.get $q)))))
                (br $second)))
            (if (i32.eq (local.get $first) (i32.const 0x80))
              (then
                (br_if $stop (i32.lt_u (i32.sub (local.get $end) (local.get $q)) (i32.const 5)))
                (local.set $first (call $u32be (i32.add (local.get $q) (i32.const 1))))
                ;; The position has to stay a positive i32.
                (br_if $give_up (i32.gt_u (local.get $first) (i32.const 0x70000000)))
                (local.set $q (i32.add (i32.add (local.get $q) (i32.const 5)) (local.get $first)))
                (br $second)))
            (local.set $first (i32.sub (local.get $first) (i32.const 0xc0)))
            (br_if $give_up (i32.gt_u (local.get $first) (i32.const 2)))
            (local.set $q
              (i32.add (i32.add (local.get $q) (i32.const 1)) (i32.shl (i32.const 1) (local.get $first)))))

          ;; The hash: eight bytes at a time, the last ones (one to eight) shifted to the top of their word.
          (local.set $hash (i64.load (i32.const 0)))
          (block $words_done
            (loop $words
              (br_if $words_done (i32.le_u (local.get $size) (i32.const 8)))
              (local.set $hash
                (i64.mul
                  (i64.xor (local.get $hash) (i64.load (local.get $p)))
                  (i64.const 0x9fb21c651e98df25)))
              (local.set $hash (i64.xor (local.get $hash) (i64.shr_u (local.get $hash) (i64.const 32))))
              ;; Once more: the word's last byte has only come to bits 24 to 31 yet, where the next word's may undo it.
              (local.set $hash (i64.mul (local.get $hash) (i64.const 0xd6e8feb86659fd93)))
              (local.set $hash (i64.xor (local.get $hash) (i64.shr_u (local.get $hash) (i64.const 29))))
              (local.set $p (i32.add (local.get $p) (i32.const 8)))
              (local.set $size (i32.sub (local.get $size) (i32.const 8)))
              (br $words)))
          (local.set $hash
            (i64.mul
              (i64.xor
                (local.get $hash)
                (i64.shl
                  (i64.load (local.get $p))
                  (i64.extend_i32_u (i32.sub (i32.const 64) (i32.shl (local.get $size) (i32.const 3))))))
              (i64.const 0x9fb21c651e98df25)))
          (local.set $hash (i64.xor (local.get $hash) (i64.shr_u (local.get $hash) (i64.const 32))))
          (local.set $hash (i64.mul (local.get $hash) (i64.const 0xd6e8feb86659fd93)))
          (local.set $hash (i64.xor (local.get $hash) (i64.shr_u (local.get $hash) (i64.const 29))))

          (local.set $part
            (i32.shl
              (i32.and (i32.wrap_i64 (i64.shr_u (local.get $hash) (i64.const 56))) (local.get $mask))
              (i32.const 2)))
          (local.set $to (i32.load offset=0x10000 (local.get $part)))
          (br_if $give_up (i32.ge_u (local.get $to) (i32.load offset=0x10400 (local.get $part))))
          (i64.store (local.get $to) (local.get $hash))
          (i32.store offset=0x10000 (local.get $part) (i32.add (local.get $to) (i32.const 6)))

          (local.set $p (local.get $q))
          (local.set $left (i32.sub (local.get $left) (i32.const 1)))
          (br $elements)))
      (i32.store (i32.const 8) (local.get $p))
      (return (local.get $left)))
    (i32.const -1))

  ;; Looks for equal hashes in [$p, $end). $mask: slots - 1. Returns 1 when there are none, 0 when it gives up.
  (func (export "settle") (param $p i32) (param $end i32) (param $mask i32) (result i32)
    (local $probes i32) (local $slot i32) (local $tag i32) (local $other i32)
    (memory.fill (i32.const 0x10800) (i32.const 0) (i32.shl (i32.add (local.get $mask) (i32.const 1)) (i32.const 2)))
    (local.set $probes (i32.add (i32.mul (i32.sub (local.get $end) (local.get $p)) (i32.const 3)) (i32.const 1024)))
    (block $give_up
      (block $stop
        (loop $hashes
          (br_if $stop (i32.ge_u (local.get $p) (local.get $end)))
          (local.set $tag (i32.load (local.get $p)))
          (local.set $tag (i32.or (local.get $tag) (i32.eqz (local.get $tag))))
          (local.set $slot (i32.load16_u offset=4 (local.get $p)))
          (block $free
            (loop $probe
              (local.set $slot (i32.and (local.get $slot) (local.get $mask)))
              (local.set $other (i32.load offset=0x10800 (i32.shl (local.get $slot) (i32.const 2))))
              (br_if $free (i32.eqz (local.get $other)))
              (br_if $give_up (i32.eq (local.get $other) (local.get $tag)))
              (local.set $probes (i32.sub (local.get $probes) (i32.const 1)))
              (br_if $give_up (i32.eqz (local.get $probes)))
              (local.set $slot (i32.add (local.get $slot) (i32.const 1)))
              (br $probe)))
          (i32.store offset=0x10800 (i32.shl (local.get $slot) (i32.const 2)) (local.get $tag))
          (local.set $p (i32.add (local.get $p) (i32.const 6)))
          (br $hashes)))
      (return (i32.const 1)))
    (i32.const 0)))
