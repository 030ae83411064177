-- For wrk: the next of the tokens in file TOKENS, one a line, with each request.
local tokens = {}
for token in io.lines(os.getenv("TOKENS")) do tokens[#tokens + 1] = "Bearer " .. token end
local at = 0

function request()
  at = at % #tokens + 1
  wrk.headers["authorization"] = tokens[at]
  return wrk.format()
end
