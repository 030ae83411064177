-- For wrk: another offset with each request, so that no answer is asked for twice. It takes the place of @OFFSET@.
local at = os.time() % 1000000 * 1000

function request()
  at = at + 1
  local path = wrk.path:gsub("@OFFSET@", at .. "_0")
  return wrk.format("GET", path)
end
