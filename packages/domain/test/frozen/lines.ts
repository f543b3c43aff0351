/**
 * Lines of the first release, as they lie in journals. Never edit one: what was written must be readable for ever.
 * A changed format gets a line of its own besides.
 */

// biome-ignore format: one line stays one line
export const lines = {
  goal: '{"id":"7f2c8a1e-5b0d-4c36-9e8f-0a1b2c3d4e5f","description":"Grüße 👋 allen","acceptance":[{"kind":"shell_command","command":"npm test","expected_exit":3,"stdout_must_match":"(?i)ok","timeout":120000},{"kind":"file_matches","path":"src/a.ts","regex":"b","required":false},{"kind":"custom","name":"no_paths_touched","args":{"prefixes":["vendor"]}},{"kind":"llm_judge","criterion":"It is polite."}],"budget":{"max_turns":5,"max_wall_time":600000,"max_tokens":200000,"max_cost_usd":1.5,"max_consecutive_denies":4,"max_consecutive_errors":3,"max_consecutive_prompt_too_long":1},"workspace":"here","agent":"claude-code","metadata":{"agent_id":"a","worktree.source_repo":"/srv/repo","more":[1,null]}}',
  usage: '{"turns":2,"wall_time":61001,"tokens":{"input":1,"output":2,"cache_read":3,"cache_creation":4},"known_cost_usd":0.25,"cost_complete":false,"consecutive_denies":1,"consecutive_errors":2,"consecutive_prompt_too_long":0}',
  result: '{"index":0,"criterion":"`npm test`","passed":false,"message":"exited with 1, expected 3","evidence":"1 failing ✗","elapsed":1234}',
  verdict: '{"met":false,"results":[{"index":0,"criterion":"`npm test`","passed":false,"message":"exited with 1, expected 3","evidence":"1 failing ✗","elapsed":1234}],"evaluated_at":"2026-01-02T03:04:05.678Z","elapsed":2000}',
  attemptResult: '{"goal_id":"7f2c8a1e-5b0d-4c36-9e8f-0a1b2c3d4e5f","turn":2,"outcome":{"kind":"needs_retry","failures":[{"index":0,"criterion":"`npm test`","passed":false,"message":"exited with 1, expected 3","evidence":"1 failing ✗","elapsed":1234}]},"usage":{"turns":2,"wall_time":61001,"tokens":{"input":1,"output":2,"cache_read":3,"cache_creation":4},"known_cost_usd":0.25,"cost_complete":false,"consecutive_denies":1,"consecutive_errors":2,"consecutive_prompt_too_long":0},"verdict":{"met":false,"results":[{"index":0,"criterion":"`npm test`","passed":false,"message":"exited with 1, expected 3","evidence":"1 failing ✗","elapsed":1234}],"evaluated_at":"2026-01-02T03:04:05.678Z","elapsed":2000},"final_text":"I am done","decisions_recorded":3,"extras":{"session_id":"s","diff_stat":" a | 1 +","checkpoint":"7"}}',
  goalOutcome: '{"goal_id":"7f2c8a1e-5b0d-4c36-9e8f-0a1b2c3d4e5f","outcome":{"kind":"done"},"total_turns":2,"usage":{"turns":2,"wall_time":61001,"tokens":{"input":1,"output":2,"cache_read":3,"cache_creation":4},"known_cost_usd":0.25,"cost_complete":false,"consecutive_denies":1,"consecutive_errors":2,"consecutive_prompt_too_long":0},"final_text":"Done.","acceptance":{"met":false,"results":[{"index":0,"criterion":"`npm test`","passed":false,"message":"exited with 1, expected 3","evidence":"1 failing ✗","elapsed":1234}],"evaluated_at":"2026-01-02T03:04:05.678Z","elapsed":2000},"branch":"driver/7f2c8a1e","worktree":"/srv/worktrees/7f2c8a1e","delivery":{"mode":"squash","delivered":true,"summary":"One commit on main."},"elapsed":3600000}',
  decision: '{"id":"0b54de5e-93d6-4d4b-a8a7-6d2f5f0a9d11","goal_id":"7f2c8a1e-5b0d-4c36-9e8f-0a1b2c3d4e5f","turn":2,"tool":"Bash","input":{"command":"yarn","nested":{"a":[true]}},"choice":{"kind":"deny","message":"Use npm."},"rationale":"rule 3","decided_at":"2026-01-02T03:04:05.678Z"}',
  permissionRequest: '{"goal_id":"7f2c8a1e-5b0d-4c36-9e8f-0a1b2c3d4e5f","turn":2,"workspace":"/srv/worktrees/7f2c8a1e","tool":"Bash","input":{"command":"yarn"},"tool_use_id":"toolu_1","agent_id":"sub_1","advisories":["writes outside"]}',
  binding: '{"goal_id":"7f2c8a1e-5b0d-4c36-9e8f-0a1b2c3d4e5f","session_id":"session-1","model":"some-model","workspace":"/srv/worktrees/7f2c8a1e","origin_channel":"chat:1","dispatcher":"me","live":false,"invalid_reason":"session expired","created_at":"2026-01-02T03:04:05.678Z","updated_at":"2026-01-02T03:04:05.678Z","last_active_at":"2026-01-02T03:04:05.678Z"}',
  storedEvent: '{"goal_id":"7f2c8a1e-5b0d-4c36-9e8f-0a1b2c3d4e5f","sequence":4,"message_id":"7f2c8a1e:1:4","at":"2026-01-02T03:04:05.678Z","event":{"kind":"goal_paused","goal_id":"7f2c8a1e-5b0d-4c36-9e8f-0a1b2c3d4e5f"}}'
}

/** `AttemptOutcome`, by kind. */
// biome-ignore format: one line stays one line
export const outcomeLines: { readonly [kind: string]: string } = {
  done: '{"kind":"done"}',
  needs_retry: '{"kind":"needs_retry","failures":[{"index":0,"criterion":"`npm test`","passed":false,"message":"exited with 1, expected 3","evidence":"1 failing ✗","elapsed":1234}]}',
  continue: '{"kind":"continue","reason":"turn timeout"}',
  sleep: '{"kind":"sleep","duration":1800000,"reason":"waiting for CI"}',
  budget_exhausted: '{"kind":"budget_exhausted","axis":"cost_usd"}',
  cancelled: '{"kind":"cancelled"}',
  escalate: '{"kind":"escalate","reason":"look here","by":"policy"}'
}

/** `Escalate` with what was reported. */
export const reportedLine = '{"kind":"escalate","reason":"no login","by":"policy","failure":"auth"}'

/** `DecisionChoice`, by kind. */
// biome-ignore format: one line stays one line
export const choiceLines: { readonly [kind: string]: string } = {
  allow: '{"kind":"allow"}',
  deny: '{"kind":"deny","message":"Use npm."}',
  observe: '{"kind":"observe","note":"would deny"}'
}

/** `PermissionOutcome`, by kind. */
// biome-ignore format: one line stays one line
export const permissionOutcomeLines: { readonly [kind: string]: string } = {
  allow_once: '{"kind":"allow_once","updated_input":{"command":"npm ci"},"rationale":"rule 1"}',
  allow_session: '{"kind":"allow_session","scope":"turn","rationale":"rule 2"}',
  deny: '{"kind":"deny","message":"Use npm.","rationale":"rule 3"}',
  unavailable: '{"kind":"unavailable","reason":"nobody there"}',
  cancelled: '{"kind":"cancelled"}'
}

/** `DriverEvent`, by kind. */
// biome-ignore format: one line stays one line
export const eventLines: { readonly [kind: string]: string } = {
  goal_started: '{"kind":"goal_started","goal_id":"7f2c8a1e-5b0d-4c36-9e8f-0a1b2c3d4e5f","goal":{"id":"7f2c8a1e-5b0d-4c36-9e8f-0a1b2c3d4e5f","description":"Grüße 👋 allen","acceptance":[{"kind":"shell_command","command":"npm test","expected_exit":3,"stdout_must_match":"(?i)ok","timeout":120000},{"kind":"file_matches","path":"src/a.ts","regex":"b","required":false},{"kind":"custom","name":"no_paths_touched","args":{"prefixes":["vendor"]}},{"kind":"llm_judge","criterion":"It is polite."}],"budget":{"max_turns":5,"max_wall_time":600000,"max_tokens":200000,"max_cost_usd":1.5,"max_consecutive_denies":4,"max_consecutive_errors":3,"max_consecutive_prompt_too_long":1},"workspace":"here","agent":"claude-code","metadata":{"agent_id":"a","worktree.source_repo":"/srv/repo","more":[1,null]}}}',
  goal_recovered:
    '{"kind":"goal_recovered","goal_id":"7f2c8a1e-5b0d-4c36-9e8f-0a1b2c3d4e5f","turn":2,"cut":true,"driver":"host 12 34"}',
  goal_completed: '{"kind":"goal_completed","goal_id":"7f2c8a1e-5b0d-4c36-9e8f-0a1b2c3d4e5f","outcome":{"goal_id":"7f2c8a1e-5b0d-4c36-9e8f-0a1b2c3d4e5f","outcome":{"kind":"done"},"total_turns":2,"usage":{"turns":2,"wall_time":61001,"tokens":{"input":1,"output":2,"cache_read":3,"cache_creation":4},"known_cost_usd":0.25,"cost_complete":false,"consecutive_denies":1,"consecutive_errors":2,"consecutive_prompt_too_long":0},"final_text":"Done.","acceptance":{"met":false,"results":[{"index":0,"criterion":"`npm test`","passed":false,"message":"exited with 1, expected 3","evidence":"1 failing ✗","elapsed":1234}],"evaluated_at":"2026-01-02T03:04:05.678Z","elapsed":2000},"branch":"driver/7f2c8a1e","worktree":"/srv/worktrees/7f2c8a1e","delivery":{"mode":"squash","delivered":true,"summary":"One commit on main."},"elapsed":3600000}}',
  attempt_started: '{"kind":"attempt_started","goal_id":"7f2c8a1e-5b0d-4c36-9e8f-0a1b2c3d4e5f","turn":2,"usage":{"turns":2,"wall_time":61001,"tokens":{"input":1,"output":2,"cache_read":3,"cache_creation":4},"known_cost_usd":0.25,"cost_complete":false,"consecutive_denies":1,"consecutive_errors":2,"consecutive_prompt_too_long":0}}',
  attempt_completed: '{"kind":"attempt_completed","goal_id":"7f2c8a1e-5b0d-4c36-9e8f-0a1b2c3d4e5f","result":{"goal_id":"7f2c8a1e-5b0d-4c36-9e8f-0a1b2c3d4e5f","turn":2,"outcome":{"kind":"needs_retry","failures":[{"index":0,"criterion":"`npm test`","passed":false,"message":"exited with 1, expected 3","evidence":"1 failing ✗","elapsed":1234}]},"usage":{"turns":2,"wall_time":61001,"tokens":{"input":1,"output":2,"cache_read":3,"cache_creation":4},"known_cost_usd":0.25,"cost_complete":false,"consecutive_denies":1,"consecutive_errors":2,"consecutive_prompt_too_long":0},"verdict":{"met":false,"results":[{"index":0,"criterion":"`npm test`","passed":false,"message":"exited with 1, expected 3","evidence":"1 failing ✗","elapsed":1234}],"evaluated_at":"2026-01-02T03:04:05.678Z","elapsed":2000},"final_text":"I am done","decisions_recorded":3,"extras":{"session_id":"s","diff_stat":" a | 1 +","checkpoint":"7"}}}',
  decision: '{"kind":"decision","goal_id":"7f2c8a1e-5b0d-4c36-9e8f-0a1b2c3d4e5f","decision":{"id":"0b54de5e-93d6-4d4b-a8a7-6d2f5f0a9d11","goal_id":"7f2c8a1e-5b0d-4c36-9e8f-0a1b2c3d4e5f","turn":2,"tool":"Bash","input":{"command":"yarn","nested":{"a":[true]}},"choice":{"kind":"deny","message":"Use npm."},"rationale":"rule 3","decided_at":"2026-01-02T03:04:05.678Z"}}',
  acceptance: '{"kind":"acceptance","goal_id":"7f2c8a1e-5b0d-4c36-9e8f-0a1b2c3d4e5f","turn":2,"verdict":{"met":false,"results":[{"index":0,"criterion":"`npm test`","passed":false,"message":"exited with 1, expected 3","evidence":"1 failing ✗","elapsed":1234}],"evaluated_at":"2026-01-02T03:04:05.678Z","elapsed":2000}}',
  criterion_evaluated: '{"kind":"criterion_evaluated","goal_id":"7f2c8a1e-5b0d-4c36-9e8f-0a1b2c3d4e5f","turn":2,"result":{"index":0,"criterion":"`npm test`","passed":false,"message":"exited with 1, expected 3","evidence":"1 failing ✗","elapsed":1234}}',
  budget_exhausted: '{"kind":"budget_exhausted","goal_id":"7f2c8a1e-5b0d-4c36-9e8f-0a1b2c3d4e5f","axis":"wall_time","usage":{"turns":2,"wall_time":61001,"tokens":{"input":1,"output":2,"cache_read":3,"cache_creation":4},"known_cost_usd":0.25,"cost_complete":false,"consecutive_denies":1,"consecutive_errors":2,"consecutive_prompt_too_long":0}}',
  escalate: '{"kind":"escalate","goal_id":"7f2c8a1e-5b0d-4c36-9e8f-0a1b2c3d4e5f","turn":2,"reason":"look here"}',
  replay_decision: '{"kind":"replay_decision","goal_id":"7f2c8a1e-5b0d-4c36-9e8f-0a1b2c3d4e5f","turn":2,"decision":"next_turn","error":"turn timeout"}',
  compact_requested: '{"kind":"compact_requested","goal_id":"7f2c8a1e-5b0d-4c36-9e8f-0a1b2c3d4e5f","turn":2,"focus":"continue goal: x","reason":"token_pressure"}',
  compact_completed: '{"kind":"compact_completed","goal_id":"7f2c8a1e-5b0d-4c36-9e8f-0a1b2c3d4e5f","turn":2,"succeeded":false,"before":150000,"after":20000,"error":"exhausted"}',
  compact_summary_stored: '{"kind":"compact_summary_stored","goal_id":"7f2c8a1e-5b0d-4c36-9e8f-0a1b2c3d4e5f","turn":2,"length":321}',
  progress: '{"kind":"progress","goal_id":"7f2c8a1e-5b0d-4c36-9e8f-0a1b2c3d4e5f","turn":2,"usage":{"turns":2,"wall_time":61001,"tokens":{"input":1,"output":2,"cache_read":3,"cache_creation":4},"known_cost_usd":0.25,"cost_complete":false,"consecutive_denies":1,"consecutive_errors":2,"consecutive_prompt_too_long":0}}',
  extract_memories_completed: '{"kind":"extract_memories_completed","goal_id":"7f2c8a1e-5b0d-4c36-9e8f-0a1b2c3d4e5f","turn":2,"saved":3}',
  extract_memories_skipped: '{"kind":"extract_memories_skipped","goal_id":"7f2c8a1e-5b0d-4c36-9e8f-0a1b2c3d4e5f","turn":2,"reason":"nothing new"}',
  auto_dream_outcome: '{"kind":"auto_dream_outcome","goal_id":"7f2c8a1e-5b0d-4c36-9e8f-0a1b2c3d4e5f","turn":2,"outcome":"ran"}',
  goal_paused: '{"kind":"goal_paused","goal_id":"7f2c8a1e-5b0d-4c36-9e8f-0a1b2c3d4e5f"}',
  goal_resumed: '{"kind":"goal_resumed","goal_id":"7f2c8a1e-5b0d-4c36-9e8f-0a1b2c3d4e5f"}',
  operator_message: '{"kind":"operator_message","goal_id":"7f2c8a1e-5b0d-4c36-9e8f-0a1b2c3d4e5f","message":"stop that","delivery":"steered"}',
  loop_noticed: '{"kind":"loop_noticed","goal_id":"7f2c8a1e-5b0d-4c36-9e8f-0a1b2c3d4e5f","turn":2,"loop":"denied","count":3,"action":"told","tool":"Bash","call":"Bash curl x","tool_use_id":"toolu_1"}',
  agent_activity: '{"kind":"agent_activity","goal_id":"7f2c8a1e-5b0d-4c36-9e8f-0a1b2c3d4e5f","turn":2,"activity":"tool","text":"Bash npm test"}',
  permission_requested: '{"kind":"permission_requested","goal_id":"7f2c8a1e-5b0d-4c36-9e8f-0a1b2c3d4e5f","turn":2,"tool":"Bash","tool_use_id":"toolu_1"}',
  approval_requested: '{"kind":"approval_requested","goal_id":"7f2c8a1e-5b0d-4c36-9e8f-0a1b2c3d4e5f","question":{"id":"a1b2c3d4-93d6-4d4b-a8a7-6d2f5f0a9d11","goal_id":"7f2c8a1e-5b0d-4c36-9e8f-0a1b2c3d4e5f","turn":2,"tool":"Bash","input":{"command":"npm publish"},"why":"rule 3","advisories":["writes outside"],"asked_at":"2026-01-02T03:04:05.678Z","expires_at":"2026-01-02T03:14:05.678Z"}}',
  approval_answered: '{"kind":"approval_answered","goal_id":"7f2c8a1e-5b0d-4c36-9e8f-0a1b2c3d4e5f","turn":2,"approval_id":"a1b2c3d4-93d6-4d4b-a8a7-6d2f5f0a9d11","answer":"timed_out"}',
  goal_sleeping: '{"kind":"goal_sleeping","goal_id":"7f2c8a1e-5b0d-4c36-9e8f-0a1b2c3d4e5f","turn":2,"duration":300000,"reason":"limit"}'
}

/** `ApprovalAnswer`, by kind. */
// biome-ignore format: one line stays one line
export const approvalAnswerLines: { readonly [kind: string]: string } = {
  approve: '{"kind":"approve","scope":"session"}',
  reject: '{"kind":"reject","message":"Use the staging registry."}'
}
