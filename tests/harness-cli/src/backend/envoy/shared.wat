;; Writes and reads shared data and shared queues for a scenario: a plugin of its own, with the `vm_id` of those that are tested.
;;
;; A command is a letter, the length of its key (u32), the key, and a value:
;;   i  sets a value that is not there yet      n  makes a queue that is not there yet, with these messages (each a u32 and so many bytes)
;;   s  sets a value                            e  puts a message in a queue, which it makes if nobody has
;;   g  gets a value                            t  takes a message out of a queue
;; The configuration is a list of commands, each behind its length (u32). The body of a request is one command; the answer is 200 and
;; what was found, or 400 and the status of the host call.
(module
  (import "env" "proxy_get_buffer_bytes" (func $bytes (param i32 i32 i32 i32 i32) (result i32)))
  (import "env" "proxy_send_local_response" (func $reply (param i32 i32 i32 i32 i32 i32 i32 i32) (result i32)))
  (import "env" "proxy_get_shared_data" (func $get (param i32 i32 i32 i32 i32) (result i32)))
  (import "env" "proxy_set_shared_data" (func $set (param i32 i32 i32 i32 i32) (result i32)))
  (import "env" "proxy_register_shared_queue" (func $register (param i32 i32 i32) (result i32)))
  (import "env" "proxy_resolve_shared_queue" (func $resolve (param i32 i32 i32 i32 i32) (result i32)))
  (import "env" "proxy_enqueue_shared_queue" (func $enqueue (param i32 i32 i32) (result i32)))
  (import "env" "proxy_dequeue_shared_queue" (func $dequeue (param i32 i32 i32) (result i32)))
  (memory (export "memory") 2)
  (global $free (mut i32) (i32.const 1024))
  ;; Where host calls write: what was found (8), its length (12), its number (16), a queue (20).
  (func (export "proxy_abi_version_0_2_1"))
  (func (export "_initialize"))
  (func (export "proxy_on_context_create") (param i32 i32))

  ;; Nothing is ever given back: the next command begins anew.
  (func (export "proxy_on_memory_allocate") (param $size i32) (result i32)
    (local $at i32) (local $end i32) (local $room i32)
    (local.set $at (global.get $free))
    (local.set $end (i32.add (local.get $at) (local.get $size)))
    (local.set $room (i32.mul (memory.size) (i32.const 65536)))
    (if (i32.gt_u (local.get $end) (local.get $room)) (then
      (drop (memory.grow (i32.add (i32.div_u (local.get $size) (i32.const 65536)) (i32.const 1))))))
    (global.set $free (local.get $end))
    (local.get $at))

  (func $do (param $at i32) (param $len i32) (result i32)
    (local $op i32) (local $key i32) (local $key_len i32) (local $value i32) (local $value_len i32)
    (i32.store (i32.const 8) (i32.const 0))
    (i32.store (i32.const 12) (i32.const 0))
    (local.set $op (i32.load8_u (local.get $at)))
    (local.set $key_len (i32.load offset=1 align=1 (local.get $at)))
    (local.set $key (i32.add (local.get $at) (i32.const 5)))
    (local.set $value (i32.add (local.get $key) (local.get $key_len)))
    (local.set $value_len (i32.sub (i32.sub (local.get $len) (i32.const 5)) (local.get $key_len)))
    (if (i32.eq (local.get $op) (i32.const 0x67)) (then ;; g
      (return (call $get (local.get $key) (local.get $key_len) (i32.const 8) (i32.const 12) (i32.const 16)))))
    (if (i32.eq (local.get $op) (i32.const 0x69)) (then ;; i
      (if (i32.eqz (call $get (local.get $key) (local.get $key_len) (i32.const 8) (i32.const 12) (i32.const 16)))
        (then (return (i32.const 0))))
      (return (call $set (local.get $key) (local.get $key_len) (local.get $value) (local.get $value_len) (i32.const 0)))))
    (if (i32.eq (local.get $op) (i32.const 0x73)) (then ;; s
      (return (call $set (local.get $key) (local.get $key_len) (local.get $value) (local.get $value_len) (i32.const 0)))))
    (if (i32.eqz (call $resolve (i32.const 0) (i32.const 0) (local.get $key) (local.get $key_len) (i32.const 20)))
      (then
        (if (i32.eq (local.get $op) (i32.const 0x6e)) (then (return (i32.const 0)))) ;; n
        (if (i32.eq (local.get $op) (i32.const 0x74)) (then ;; t
          (return (call $dequeue (i32.load (i32.const 20)) (i32.const 8) (i32.const 12))))))
      (else
        (if (i32.eq (local.get $op) (i32.const 0x74)) (then (return (i32.const 1))))
        (drop (call $register (local.get $key) (local.get $key_len) (i32.const 20)))))
    (if (i32.eq (local.get $op) (i32.const 0x6e)) (then
      (return (call $enqueue_all (local.get $value) (i32.add (local.get $value) (local.get $value_len))))))
    (call $enqueue (i32.load (i32.const 20)) (local.get $value) (local.get $value_len)))

  (func $enqueue_all (param $at i32) (param $end i32) (result i32)
    (block $done (loop $next
      (br_if $done (i32.ge_u (local.get $at) (local.get $end)))
      (drop (call $enqueue (i32.load (i32.const 20)) (i32.add (local.get $at) (i32.const 4)) (i32.load align=1 (local.get $at))))
      (local.set $at (i32.add (i32.add (local.get $at) (i32.const 4)) (i32.load align=1 (local.get $at))))
      (br $next)))
    (i32.const 0))

  (func (export "proxy_on_configure") (param $root i32) (param $size i32) (result i32)
    (local $at i32) (local $end i32)
    (drop (call $bytes (i32.const 7) (i32.const 0) (local.get $size) (i32.const 8) (i32.const 12)))
    (local.set $at (i32.load (i32.const 8)))
    (local.set $end (i32.add (local.get $at) (i32.load (i32.const 12))))
    (block $done (loop $next
      (br_if $done (i32.ge_u (local.get $at) (local.get $end)))
      (drop (call $do (i32.add (local.get $at) (i32.const 4)) (i32.load align=1 (local.get $at))))
      (local.set $at (i32.add (i32.add (local.get $at) (i32.const 4)) (i32.load align=1 (local.get $at))))
      (br $next)))
    (i32.const 1))

  ;; The body comes next.
  (func (export "proxy_on_request_headers") (param i32 i32 i32) (result i32) (i32.const 1))

  (func (export "proxy_on_request_body") (param $ctx i32) (param $size i32) (param $end i32) (result i32)
    (local $status i32)
    (if (local.get $end) (then
      (global.set $free (i32.const 1024))
      (drop (call $bytes (i32.const 0) (i32.const 0) (local.get $size) (i32.const 8) (i32.const 12)))
      (local.set $status (call $do (i32.load (i32.const 8)) (i32.load (i32.const 12))))
      (drop (call $reply
        (select (i32.const 400) (i32.const 200) (local.get $status))
        (i32.const 0) (i32.const 0) (i32.load (i32.const 8)) (i32.load (i32.const 12)) (i32.const 0) (i32.const 0)
        (i32.const -1)))))
    (i32.const 1)))
