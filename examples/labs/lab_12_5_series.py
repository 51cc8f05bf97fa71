# %% [markdown]
# # Lab 12-5: a series of numbers
#
# The network reads seven values and predicts the next one. The lab took share prices; here it is the number of sunspots in
# each year since 1700, which comes with the package. An LSTM with 10 units, a readout of its last step, Adam with a rate of
# 0.01, 500 iterations. Lesson 18 explains each step.
#
# `--quick` runs the same steps with fewer seeds and updates. [RESULTS.md](../tasks/RESULTS.md) has our results next to the
# published ones.

# %%
import sys

import numpy as np

import minigrad_rnn as rnn

QUICK = "--quick" in sys.argv
UPDATES, SEEDS = (30, 1) if QUICK else (500, 5)
LENGTH = 7

series = rnn.series.sunspots()
years, spots = series.values.T
print(
    f"{series.names}: {len(spots)} years, {spots.min():.0f} to {spots.max():.0f} spots"
)

# %% [markdown]
# There are two common mistakes. The first is to scale with the minimum and maximum of all values: then the training data
# contain a fact about the future. Here the scale comes from the training part alone, and the test part may leave the range
# from 0 to 1.

# %%
training, _, test = rnn.series.split(spots, validation=0, test=0.3)
scaler = rnn.series.Scaler.min_max(training)
scaled = scaler(training[:, None])
tested = scaler(np.concatenate([training[-LENGTH:], test])[:, None])
print(
    f"training to {years[len(training) - 1]:.0f}, test after that; scaled, the test part goes up to {tested.max():.2f}"
)
learn, check = (
    rnn.series.windows(scaled, LENGTH),
    rnn.series.windows(tested, LENGTH),
)
print(f"{learn.size} windows to learn from, {check.size} to test on")

# %% [markdown]
# The second mistake is to be content with a curve that follows the true one. "Next year is as this year" follows it too, one
# step late. And a weighted sum of the seven values, found by least squares, is a network with one layer. What does an LSTM
# add?


# %%
def rmse(forecast):
    return np.sqrt(np.mean((forecast - check.targets) ** 2))


def with_one(batch):
    return np.concatenate(
        [batch.inputs[..., 0].T, np.ones((batch.size, 1))], axis=1
    )


weights = np.linalg.lstsq(with_one(learn), learn.targets, rcond=None)[0]
persistence, linear = (
    rnn.series.persistence(check),
    rmse(with_one(check) @ weights),
)
print(f"always the training mean:   {rmse(learn.targets.mean()):.4f}")
print(f"it stays as it is:          {persistence:.4f}")
print(f"weighted sum of the seven:  {linear:.4f}")

# %%
source = rnn.Fixed(learn)
source.loss = "mse"
errors = []
for seed in range(SEEDS):
    rng = np.random.default_rng(seed)
    model = rnn.ManyToOne(
        rnn.LSTM(1, 10, forget_bias=1.0, rng=rng), rnn.Linear(10, 1, rng=rng)
    )
    history = rnn.Trainer(model, rnn.Adam(model.parameters(), lr=0.01)).fit(
        source, UPDATES, progress=False
    )
    errors.append(rmse(model(check.inputs).data))
    print(
        f"LSTM, seed {seed}: training {np.sqrt(history.loss[-1]):.4f}, test {errors[-1]:.4f}"
    )
spots_off = np.mean(errors) * scaler.scale[0]
print(
    f"test error {min(errors):.4f} to {max(errors):.4f}, or {spots_off:.1f} spots; of persistence {persistence:.4f}"
)

# %% [markdown]
# On the lab's share prices the error was 0.049 to 0.053, and that of "tomorrow is as today" 0.0476: the network had learned
# nothing that helps. Sunspots have a period of about eleven years, so there is something to learn. Compare with the weighted
# sum before you call it a success.

# %%
forecast = scaler.inverse(model(check.inputs).data)[:, 0]
for year, value, said in list(
    zip(years[len(training) :], test, forecast, strict=True)
)[-8:]:
    print(f"{year:.0f}: {value:6.1f} spots, forecast {said:6.1f}")
