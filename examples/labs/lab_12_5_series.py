# %% [markdown]
# # Lab 12-5: a series of numbers
#
# Seven values, then the next. The lab took the price of a share; here it is the sunspots, a number a year since 1700, which
# come with the package. An LSTM with 10 units, the readout of its last step, Adam 0.01, 500 iterations.

# %%
import sys

import numpy as np

import minigrad_rnn as rnn

QUICK = "--quick" in sys.argv
UPDATES, SEEDS = (30, 1) if QUICK else (500, 5)
LENGTH = 7

series = rnn.series.sunspots()
years, spots = series.values.T
print(f"{series.names}: {len(spots)} years, {spots.min():.0f} to {spots.max():.0f} spots")

# %% [markdown]
# Two mistakes are easy to make here. The first is to scale with the minimum and maximum of all values: then the network is
# told in training how high the future will go. The scale comes from the training part alone, and the test part may leave
# 0...1.

# %%
training, _, test = rnn.series.split(spots, validation=0, test=0.3)
scaler = rnn.series.Scaler.min_max(training)
scaled = scaler(training[:, None])
tested = scaler(np.concatenate([training[-LENGTH:], test])[:, None])  # with the seven years before the first
print(f"training to {years[len(training) - 1]:.0f}, test after that; scaled, the test part goes up to {tested.max():.2f}")
learn, check = rnn.series.windows(scaled, LENGTH), rnn.series.windows(tested, LENGTH)
print(f"{learn.size} windows to learn from, {check.size} to test on")

# %% [markdown]
# The second is to look at a curve that follows the true one, and be content. "Tomorrow is as today" follows it, too, one step
# behind. And a weighted sum of the seven values, by least squares, is a network of one layer: what does an LSTM add?


# %%
def rmse(forecast):
    return np.sqrt(np.mean((forecast - check.targets) ** 2))


def with_one(batch):
    return np.concatenate([batch.inputs[..., 0].T, np.ones((batch.size, 1))], axis=1)


weights = np.linalg.lstsq(with_one(learn), learn.targets, rcond=None)[0]
persistence, linear = rnn.series.persistence(check), rmse(with_one(check) @ weights)
print(f"always the training mean:   {rmse(learn.targets.mean()):.4f}")
print(f"it stays as it is:          {persistence:.4f}")
print(f"weighted sum of the seven:  {linear:.4f}")

# %%
source = rnn.Fixed(learn)
source.loss = "mse"
errors = []
for seed in range(SEEDS):
    rng = np.random.default_rng(seed)
    model = rnn.ManyToOne(rnn.LSTM(1, 10, forget_bias=1.0, rng=rng), rnn.Linear(10, 1, rng=rng))
    history = rnn.Trainer(model, rnn.Adam(model.parameters(), lr=0.01)).fit(source, UPDATES, progress=False)
    errors.append(rmse(model(check.inputs).data))
    print(f"LSTM, seed {seed}: training {np.sqrt(history.loss[-1]):.4f}, test {errors[-1]:.4f}")
spots_off = np.mean(errors) * scaler.scale[0]
print(f"test error {min(errors):.4f} to {max(errors):.4f}, or {spots_off:.1f} spots; of persistence {persistence:.4f}")

# %% [markdown]
# On the lab's share prices the error was 0.049 to 0.053, and that of "tomorrow is as today" 0.0476: the network had learnt
# nothing that helps. Sunspots go up and down in eleven years, and there is something to learn. Still, compare with the
# weighted sum before speaking of success.

# %%
forecast = scaler.inverse(model(check.inputs).data)[:, 0]
for year, value, said in list(zip(years[len(training) :], test, forecast, strict=True))[-8:]:
    print(f"{year:.0f}: {value:6.1f} spots, forecast {said:6.1f}")

# %% [markdown]
# The full run gave: a test error of 0.108 to 0.119 over five seeds, where persistence has 0.196 and the weighted sum 0.126.
