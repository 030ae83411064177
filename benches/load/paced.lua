-- For wrk: the next of the tokens in file TOKENS, one a line, with each request, and on each connection DELAY
-- milliseconds from one request to the next. On average: where a wait begins is drawn, so that they do not come at once.
local tokens = {}
for token in io.lines(os.getenv("TOKENS")) do tokens[#tokens + 1] = "Bearer " .. token end
local pause = tonumber(os.getenv("DELAY"))
local at = 0

function delay()
  return math.random(0, 2 * pause)
end

function request()
  at = at % #tokens + 1
  wrk.headers["authorization"] = tokens[at]
  return wrk.format()
end
