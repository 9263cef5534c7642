package api

import "context"

// The operations of a runner's own life, word for word as opslevel-runner sends them.
const (
	queryValidate   = `{account{id}}`
	queryRegister   = `mutation RunnerRegister($queue:String){runnerRegister(queue: $queue){runner{id,status},errors{message,path}}}`
	queryUnregister = `mutation RunnerUnregister($runnerId:ID!){runnerUnregister(runnerId: $runnerId){errors{message,path}}}`
	queryScale      = `query RunnerScale($currentReplicaCount:Int!$jobConcurrency:Int!$runnerId:ID!){account{runnerScale(runnerId: $runnerId, currentReplicaCount: $currentReplicaCount, jobConcurrency: $jobConcurrency){recommendedReplicaCount}}}`
)

// Validate finds out whether the token is good, and returns the id of the account that it is for.
func (c *Client) Validate(ctx context.Context) (account string, err error) {
	var data struct {
		Account struct {
			ID text `json:"id"`
		} `json:"account"`
	}
	err = c.call(ctx, "", queryValidate, nil, &data)
	return string(data.Account.ID), err
}

// Register makes a runner known and returns its id. Jobs of a queue go to the runners that have registered for it; "" is
// no queue.
func (c *Client) Register(ctx context.Context, queue string) (runner string, err error) {
	const name = "RunnerRegister"
	var data struct {
		Payload struct {
			Runner *struct {
				ID text `json:"id"`
			} `json:"runner"`
			Errors payloadErrors `json:"errors"`
		} `json:"runnerRegister"`
	}
	if err := c.call(ctx, name, queryRegister, map[string]any{"queue": orNull(queue)}, &data); err != nil {
		return "", err
	}
	if err := data.Payload.Errors.refusal(name); err != nil {
		return "", err
	}
	if data.Payload.Runner == nil || data.Payload.Runner.ID == "" {
		return "", &Error{Operation: name, Kind: Undecodable, Message: "the answer names no runner"}
	}
	return string(data.Payload.Runner.ID), nil
}

// Unregister says that a runner has gone. It does not heed Retry-After: there is no later.
func (c *Client) Unregister(ctx context.Context, runner string) error {
	const name = "RunnerUnregister"
	var data struct {
		Payload *errorsOnly `json:"runnerUnregister"`
	}
	if err := c.send(ctx, name, queryUnregister, map[string]any{"runnerId": runner}, &data); err != nil {
		return err
	}
	return data.Payload.refusal(name)
}

// Scale asks how many runners there should be. There are current ones, and each takes concurrency jobs at once.
func (c *Client) Scale(ctx context.Context, runner string, current, concurrency int) (int, error) {
	const name = "RunnerScale"
	var data struct {
		Account *struct {
			Scale *struct {
				Recommended *int `json:"recommendedReplicaCount"`
			} `json:"runnerScale"`
		} `json:"account"`
	}
	err := c.call(ctx, name, queryScale, map[string]any{"runnerId": runner, "currentReplicaCount": current, "jobConcurrency": concurrency}, &data)
	if err != nil {
		return 0, err
	}
	if data.Account == nil || data.Account.Scale == nil || data.Account.Scale.Recommended == nil {
		return 0, &Error{Operation: name, Kind: Undecodable, Message: "the answer names no number of runners"}
	}
	return *data.Account.Scale.Recommended, nil
}

// orNull makes null of an empty string.
func orNull(s string) any {
	if s == "" {
		return nil
	}
	return s
}
