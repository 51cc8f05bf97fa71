# %% [markdown]
# # Lesson 18: series with an honest baseline
#
# A network reads some years of measurements and predicts the next one. You draw its forecast next to the true curve, the two
# look alike, and you are content. But the forecast "tomorrow is as today" looks just as much like it. In this lesson you
# predict the number of sunspots, and you find out whether the network has learned anything that a line of NumPy does not give
# you for free.
#
# The method is worth more than the result. Most mistakes with series make a forecast look *better* than it is, so no error
# message warns you. You have to look for them.
#
# **You need:** lesson 10 (a network that reads a sequence and answers at its end), means, and least squares.
#
# **You will be able to** split and scale a series without looking into the future, set up the baselines that a forecast must
# beat, and say with several seeds whether a network beats them.
#
# **Time:** about 50 minutes, 4 exercises.

# %%
import numpy as np

import minigrad as mg
import minigrad_rnn as rnn
from minigrad.exercises import exercise, solution

# %% [markdown]
# ## 1. The series
#
# minigrad comes with the number of sunspots of each year since 1700, as astronomers have counted them. Every bar is a year.

# %%
years, spots = rnn.series.sunspots().values.T
print(f"{len(spots)} years, {years[0]:.0f} to {years[-1]:.0f}")
for year, value in list(zip(years, spots, strict=True))[-25:]:
    print(f"{year:.0f} {value:6.1f} " + "#" * round(value / 4))

# %% [markdown]
# The number rises and falls in about eleven years, but no two waves have the same height. So there is something to predict,
# and there is a limit.
#
# To a network, a forecast is an exercise like those before: read a **window** of `length` values, answer with the next value.
# From a long series we cut one window for each year.
#
# ### Exercise 1
#
# Cut the windows. For a series of `N` values, `inputs[i]` are the `length` values from place `i` on, and `targets[i]` is the
# value that follows them. How many windows are there?


# %%
def windows(series, length):
    return ...  # inputs of shape (count, length), targets of shape (count,)


def check_1(f):
    series = np.array([3.0, 1.0, 4.0, 1.5, 9.0, 2.0])
    for length in (2, 4):
        answer = f(series, length)
        assert len(answer) == 2, "return two arrays: inputs, targets"
        inputs, targets = map(np.asarray, answer)
        count = len(series) - length
        assert inputs.shape[1:] == (length,), (
            f"inputs have shape {inputs.shape}; each row needs {length} values"
        )
        assert len(inputs) <= count, (
            f"{len(inputs)} windows of {length} do not fit: the last one has no "
            "value after it, so it has no target"
        )
        assert len(inputs) == count, (
            f"{len(inputs)} windows; {count} fit into 6 values"
        )
        assert targets.shape == (count,), (
            f"targets have shape {targets.shape}, not ({count},)"
        )
        assert not np.array_equal(targets, inputs[:, -1]), (
            "the target is in its own window: the forecast would be a copy"
        )
        assert np.array_equal(inputs[0], series[:length]), (
            f"the first window is {inputs[0]}, not {series[:length]}"
        )
        assert np.array_equal(targets, series[length:]), (
            f"the targets are {targets}, not {series[length:]}"
        )


exercise(1, check_1, windows)

# %% [markdown]
# ## 2. The future must stay unseen
#
# A test answers one question: how good is the forecast for years that nobody had seen? So the series is split in *time*. The
# first part is for **training**, the next for **validation** (to choose between models), and the last for the **test**, which
# must not influence any choice. (In this lesson you see its errors all the time, next to the others. In your own work look at
# them once, at the end.) We do not shuffle: a random split puts 1950 into training and 1949 into the test.
#
# The values are scaled, because a network learns best from numbers near 1. Here is the first trap. The scale must come from
# the training part alone. With the maximum of the whole series, the training data from before 1886 would contain a fact about
# 1957.

# %%
LENGTH = 11
training, validation, test = rnn.series.split(spots, validation=0.15, test=0.25)
scaler = rnn.series.Scaler.min_max(training)  # not of `spots`
scaled = scaler(spots[:, None])
first, second = len(training), len(training) + len(validation)

learn = rnn.series.windows(scaled[:first], LENGTH)
choose = rnn.series.windows(scaled[first - LENGTH : second], LENGTH)
final = rnn.series.windows(scaled[second - LENGTH :], LENGTH)
parts = {"training": learn, "validation": choose, "test": final}
for name, begin, part in zip(
    parts, (LENGTH, first, second), parts.values(), strict=True
):
    print(
        f"{name:10} {part.size:3} windows, targets from {years[begin]:.0f}, "
        f"largest {part.targets.max():.2f}"
    )

# %% [markdown]
# The validation and test values may leave the range from 0 to 1. They do: the test goes up to 1.23. That is honest. The
# future may be larger than all of the past.
#
# A window of the test may begin in the years before the test: when you predict 1932, you are allowed to know 1921 to 1931.
# That is why the slices above begin `LENGTH` values earlier.
#
# `inputs` has shape `(time, windows, 1)`, the order that recurrent layers use, and `targets` has shape `(windows, 1)`.
#
# ## 3. Four forecasts that need no network
#
# A **baseline** is a forecast that costs nothing. If a network is not better, it is not useful. We measure each by its
# **RMSE**, the root of the mean squared error, in scaled units.
#
# - **The mean** of the training targets, for every year.
# - **Persistence**: next year is as this year.
# - **Seasonal**: next year is as eleven years before it.
# - **A weighted sum** of the eleven values and a constant, with the weights that are best for the training part (least
#   squares). This is a network with one linear layer, and its best weights are found without any training.


# %%
def rmse(forecast, targets):
    return np.sqrt(np.mean((forecast - targets) ** 2))


def rows(batch):
    """The windows as rows, with a last column of ones for the constant."""
    return np.column_stack([batch.inputs[..., 0].T, np.ones(batch.size)])


weights = np.linalg.lstsq(rows(learn), learn.targets, rcond=None)[0]
baselines = {
    "mean": lambda batch: np.full_like(batch.targets, learn.targets.mean()),
    "persistence": lambda batch: batch.inputs[-1],
    "seasonal": lambda batch: batch.inputs[-11],
    "weighted sum": lambda batch: rows(batch) @ weights,
}

print("RMSE          training  validation     test")
errors = {}
for name, forecast in baselines.items():
    errors[name] = [rmse(forecast(part), part.targets) for part in parts.values()]
    print("{:12} {:9.3f} {:11.3f} {:8.3f}".format(name, *errors[name]))

# %% tags=["remove-cell"]
assert np.isclose(errors["persistence"][2], rnn.series.persistence(final))
assert errors["weighted sum"][2] < 0.6 * errors["persistence"][2]
assert min(errors["mean"][2], errors["seasonal"][2]) > errors["persistence"][2]
assert 1.22 < final.targets.max() < 1.24
assert all(1.4 * e[1] < e[2] for e in errors.values())

# %% [markdown]
# Read the columns first. The test is harder than the validation for *every* forecast, because the sun was more active in the
# 20th century. So never compare an error on one part with an error on another one.
#
# Then read the rows. Eleven years ago is a bad guide: the waves are not regular enough. Persistence is better, and the
# weighted sum has 59 % of the error of persistence. That is the number to beat: 0.122.
#
# ### Exercise 2
#
# Errors of different series cannot be compared, because their units differ. The **skill** can:
#
# ```text
# skill = 1 - MSE(forecast) / MSE(baseline)
# ```
#
# with MSE the mean *squared* error, without the root. A perfect forecast has skill 1, the baseline itself 0, a forecast that
# is worse than the baseline has a negative skill. Write it.


# %%
def skill(forecast, baseline, targets):
    return ...


def check_2(f):
    rng = np.random.default_rng(0)
    targets, noise = rng.normal(size=20), rng.normal(size=20)
    zeros = np.zeros(20)
    assert np.isclose(f(targets, zeros, targets), 1), (
        "a perfect forecast has skill 1"
    )
    assert np.isclose(f(zeros, zeros, targets), 0), (
        "the baseline itself has skill 0"
    )
    found = f(targets + noise, targets + 2 * noise, targets)
    assert not np.isclose(found, 0.5), (
        "use squared errors, not their root: 1 - 1/4"
    )
    assert np.isclose(found, 0.75), (
        f"half the error is a quarter of the MSE: skill 0.75, not {found:.2f}"
    )
    found = f(targets + 2 * noise, targets + noise, targets)
    assert np.isclose(found, -3), f"a worse forecast: skill -3, not {found:.2f}"


exercise(2, check_2, skill)

# %% [markdown]
# ## 4. The network
#
# A recurrent network reads the eleven values one by one and answers after the last one, `rnn.ManyToOne`. Training is a matter
# of seconds, so we train each network three times with different **seeds**, that is, different initial weights. One run is an
# anecdote.


# %%
def trained(kind, seed, batch, updates=300):
    rng = np.random.default_rng(seed)
    model = rnn.ManyToOne(
        kind(1, 10, dtype=np.float64, rng=rng),
        rnn.Linear(10, 1, dtype=np.float64, rng=rng),
    )
    trainer = rnn.Trainer(
        model, rnn.Adam(model.parameters(), lr=0.01), loss="mse"
    )
    trainer.fit(batch, updates, progress=False)
    return model


row = "{:14} {:9.3f} {:11.3f} {:8.3f}"
models = {}
print("RMSE            training  validation     test")
for kind in (rnn.RNN, rnn.LSTM):
    for seed in range(3):
        name = f"{kind.__name__}, seed {seed}"
        models[name] = trained(kind, seed, learn)
        errors[name] = [
            rmse(rnn.predict(models[name], part.inputs), part.targets)
            for part in parts.values()
        ]
        print(row.format(name, *errors[name]))
print(row.format("weighted sum", *errors["weighted sum"]))

# %% tags=["remove-cell"]
table = np.array([errors[name] for name in models])
linear = np.array(errors["weighted sum"])
assert (table[:, 0] < linear[0]).all()
assert table[:, 2].min() < linear[2] < table[:, 2].max()
assert (table[:, 2] < 0.7 * errors["persistence"][2]).all()
assert table[3:, 0].max() < table[:3, 0].min()  # LSTM below RNN in training
assert table[3:, 2].mean() > table[:3, 2].mean()
assert (table[:, 1] < 0.09).all()

# %% [markdown]
# Read this table as a sceptic.
#
# - All six networks beat persistence by far. If persistence were our only baseline, we would call that a success.
# - On the training part all six beat the weighted sum, the LSTM by most. On the test the weighted sum is *in the middle* of
#   them. What the networks found beyond it was good for the training years only. This is **overfitting**.
# - The seeds of one network differ about as much as the networks do. With one seed each, you could have "shown" almost
#   anything.
#
# So the sentence that is true is: *on 175 windows, a recurrent network of 10 units predicts sunspots about as well as a
# weighted sum*. It is less exciting than a picture of two curves, and you can rely on it.
#
# And which model do we report? Not the one with the best test error: that would be choosing with the future in hand. We
# choose by validation, and then read its test error, whatever it is.

# %%
chosen = min(models, key=lambda name: errors[name][1])
model = models[chosen]
print(f"chosen by validation: {chosen}, test RMSE {errors[chosen][2]:.3f}")
best = min(models, key=lambda name: errors[name][2])
print(f"the best on the test: {best}, {errors[best][2]:.3f}: not ours to choose")

# %% [markdown]
# This is the chosen network, folded on the left and unrolled on the right. It reads the years 1947 to 1957; the loss compares
# its forecast with 1958.

# %%
one = final.take([26], axis=0)  # the window before 1958
rnn.draw.both(model, one.inputs, one.targets, loss="mse", steps="0-1,-2--1")

# %% [markdown]
# ## 5. Which years does it look at?
#
# The weighted sum shows its weights. A network has no single weight for "two years ago", but it has a derivative: how much
# does the forecast change when that input changes? That is a gradient with respect to the *input*, and you can have it for
# any window. We take the mean over all windows of the test.


# %%
def of_inputs(inputs):
    return model(inputs).sum()


slopes = mg.grad(of_inputs)(final.inputs)[..., 0].mean(axis=1)
print("years before the target: weight of the sum, mean slope of the network")
for t in range(LENGTH):
    print(f"{LENGTH - t:3} {weights[t, 0]:+7.2f} {slopes[t]:+7.2f}")

# %% tags=["remove-cell"]
assert min(weights[10, 0], slopes[10]) > 1
assert max(weights[9, 0], slopes[9]) < -0.3
assert max(abs(slopes[:9]).max(), abs(weights[:9]).max()) < 0.2
norms = rnn.gradient_flow(model, one.inputs, one.targets, loss="mse").norms["h"]
assert 15 < norms[0, -1] / norms[0, 0] < 25
assert years[second + 26] == 1958

# %% [markdown]
# They agree on the main point. The last year counts with a weight of more than 1, the year before it with a *negative*
# weight: if the number has just risen, it goes on rising. Older years matter little. The network and least squares found
# about the same rule.
#
# The picture shows the way of the gradient for our window: the size of the gradient of the loss at the states of each year.
# The darker the box, the larger it is. From the last year to the first it falls to about a twentieth.

# %%
rnn.draw.unrolled(
    model,
    one.inputs,
    one.targets,
    loss="mse",
    level="cell",
    gradients=True,
    steps="0-1,-3--1",
)

# %% [markdown]
# ## 6. A series with nothing to learn
#
# The price of a share is close to a **random walk**: today's value plus a step that nobody can predict. Its best forecast is
# persistence, by construction. Train the same network on one and look at it in two ways.

# %%
walk = np.random.default_rng(3).normal(size=(600, 1)).cumsum(axis=0)
walk_scaler = rnn.series.Scaler.min_max(walk[:300])
walk_learn = rnn.series.windows(walk_scaler(walk[:300]), LENGTH)
walk_test = rnn.series.windows(walk_scaler(walk[300:]), LENGTH)
forecast = rnn.predict(trained(rnn.RNN, 0, walk_learn), walk_test.inputs)

correlation = np.corrcoef(forecast[:, 0], walk_test.targets[:, 0])[0, 1]
print(f"correlation of forecast and truth: {correlation:.3f}")
print(f"RMSE {rmse(forecast, walk_test.targets):.3f}, ", end="")
print(f"persistence {rnn.series.persistence(walk_test):.3f}")

# %% tags=["remove-cell"]
assert correlation > 0.9
assert rmse(forecast, walk_test.targets) > 3 * rnn.series.persistence(walk_test)
assert walk_test.targets.max() > 1.5

# %% [markdown]
# The correlation is high, and a plot would look convincing. Yet the error is four times that of persistence, so the skill is
# negative. (The walk leaves the range of the training part, from 0 to 1, and the network has never met such values.) A series
# that moves slowly is always close to itself one step before. **Correlation with the truth says nothing. The comparison with
# persistence does.**
#
# ## 7. A trap: smoothing
#
# The counts are noisy, so somebody smooths them first: every value is replaced by the mean of the year before, the year
# itself and the year after. Then they fit the weighted sum as above. The targets are the *unsmoothed* values, so the test
# looks fair.


# %%
def centred(series):
    padded = np.concatenate([series[:1], series, series[-1:]])
    return (padded[:-2] + padded[1:-1] + padded[2:]) / 3


def test_error(smooth):
    """The test RMSE of a weighted sum of smoothed values."""
    inputs = rnn.series.windows(smooth(scaled[:, 0]), LENGTH).inputs
    table = np.column_stack([inputs[..., 0].T, np.ones(inputs.shape[1])])
    targets = scaled[LENGTH:]
    w = np.linalg.lstsq(table[: learn.size], targets[: learn.size], rcond=None)[0]
    return rmse(table[-final.size :] @ w, targets[-final.size :])


print(f"raw {test_error(np.asarray):.3f}, smoothed {test_error(centred):.3f}")

# %% tags=["remove-cell"]
assert np.isclose(test_error(lambda series: series), linear[2], atol=1e-3)
assert 0.18 < test_error(centred) / linear[2] < 0.22

# %% [markdown]
# The error falls to a fifth, far below every network above. What a find! But the newest value of a window now contains the
# year *after* it, which is the target. The forecast reads its own answer. On the day when the forecast is needed, the year
# after does not exist.
#
# ### Exercise 3
#
# Repair it. Write `smoothed(series, width)`: each value is the mean of the `width` values up to and including its own year.
# At the beginning, where there are fewer, take the mean of those that there are.


# %%
def smoothed(series, width):
    return ...


def check_3(f):
    series = np.array([3.0, 1.0, 4.0, 1.0, 5.0, 9.0])
    found = np.asarray(f(series, 3), dtype=float)
    assert found.shape == (6,), (
        f"return as many values as the series has, 6, not shape {found.shape}"
    )
    later = series.copy()
    later[4] = 100.0
    assert np.array_equal(f(later, 3)[:4], found[:4]), (
        "a later value changes an earlier one: your mean still looks ahead"
    )
    assert np.isclose(found[5], 5), (
        f"the last value is (1 + 5 + 9) / 3, not {found[5]}"
    )
    assert np.allclose(found[:2], [3, 2]), (
        f"at the beginning take the mean of what there is: 3, 2, not {found[:2]}"
    )
    assert np.allclose(f(series, 1), series), (
        "a mean of one value changes nothing"
    )


exercise(3, check_3, smoothed)

# %% [markdown]
# The check changes the future and demands that the past stays. Keep this idea: it finds every leak of this kind, in any
# program that prepares data.
#
# ### Exercise 4
#
# One year ahead is easy. For twenty years, the network must read its own forecasts: drop the oldest value of the window,
# append the forecast, and predict again. Write it for any function `forecast(window)` that returns one number.


# %%
def free_run(forecast, window, steps):
    return ...  # an array of `steps` forecasts


def check_4(f):
    start = np.array([1.0, 1.0])
    found = np.asarray(f(lambda w: w[-1] + w[-2], start, 5), dtype=float)
    assert found.shape == (5,), f"return 5 forecasts, not shape {found.shape}"
    assert not np.array_equal(found, [2] * 5), (
        "every forecast is the same: feed each one back into the window"
    )
    assert np.array_equal(found, [2, 3, 5, 8, 13]), (
        f"with the sum of the last two, 2 3 5 8 13 follow on 1 1, not {found}"
    )
    assert np.array_equal(start, [1, 1]), (
        "do not change the window you were given"
    )
    lengths = []
    f(lambda w: lengths.append(len(w)) or 0.0, np.zeros(3), 4)
    assert lengths == [3, 3, 3, 3], (
        f"windows of 3 values became windows of {lengths}: drop the oldest value"
    )


exercise(4, check_4, free_run)

# %% [markdown]
# The next cell, which is folded, has our version. With it the network predicts from 1932 on, and reads no true value after
# 1931.


# %% tags=["hide-cell"]
def on_its_own(window, steps):
    said = []
    for _ in range(steps):
        said.append(rnn.predict(model, window.reshape(-1, 1, 1)).item())
        window = np.append(window[1:], said[-1])
    return np.array(said)


# %%
said = on_its_own(final.inputs[:, 0, 0], 22)
truth = final.targets[:22, 0]
print("year   truth  forecast")
for i in range(22):
    year, blanks = years[second + i], [" "] * 42
    blanks[round(40 * truth[i])], blanks[round(40 * said[i])] = "o", "x"
    print(
        f"{year:.0f} {truth[i]:7.2f} {said[i]:9.2f}  |{''.join(blanks).rstrip()}"
    )
always_mean = rmse(learn.targets.mean(), truth)
print(f"RMSE {rmse(said, truth):.2f}, always the mean {always_mean:.2f}")


# %% tags=["remove-cell"]
assert 0.4 < rmse(said, truth) / always_mean < 0.6
assert abs(int(said[:11].argmax()) - int(truth[:11].argmax())) <= 1
assert abs(int(said[11:].argmax()) - int(truth[11:].argmax())) <= 1
assert said.max() < 0.75 < truth.max()

# %% [markdown]
# `o` is the truth, `x` the forecast. For two waves the network keeps the rhythm: its peaks are at most a year from the true
# ones. It misses their height. Over these 22 years its error is about half of that of the mean.
#
# ## What to remember
#
# - Split in time. Take scale, smoothing and every choice from the past of the value that you predict.
# - Persistence and a weighted sum come first. A forecast without a baseline is a picture, not a result.
# - Look at several seeds, choose by validation, and read the test once.
# - A high correlation with the truth is no evidence: a random walk gives it to everybody.
# - To find a leak, change the future and see whether the past moves.
#
# **Next:** lesson 19 answers with a whole sequence: a network that reads one sequence and writes another.
#
# ## Solutions


# %% tags=["hide-cell"]
def windows_solution(series, length):
    count = len(series) - length
    inputs = series[np.arange(count)[:, None] + np.arange(length)]
    return inputs, series[length:]


def skill_solution(forecast, baseline, targets):
    squared = np.mean((forecast - targets) ** 2)
    return 1 - squared / np.mean((baseline - targets) ** 2)


def smoothed_solution(series, width):
    means = [
        series[max(t - width + 1, 0) : t + 1].mean() for t in range(len(series))
    ]
    return np.array(means)


def free_run_solution(forecast, window, steps):
    said = []
    for _ in range(steps):
        said.append(forecast(window))
        window = np.append(window[1:], said[-1])
    return np.array(said)


solution(1, check_1, windows_solution)
solution(2, check_2, skill_solution)
solution(3, check_3, smoothed_solution)
solution(4, check_4, free_run_solution)
