using System.Diagnostics;

namespace Cnvm.Bench;

/// <summary>
/// One way of measuring that gives one or more figures. Every side is sampled once a round, in turn, so that whatever else the host
/// does meanwhile hits all alike.
/// </summary>
internal abstract class Experiment
{
    /// <summary>Fewer rounds than this are not stopped for time.</summary>
    private const int EnoughRounds = 3;

    /// <summary>The figures, in the order of <see cref="Sample"/>'s values.</summary>
    public abstract IReadOnlyList<Measure> Measures { get; }

    /// <summary>Names of the sides; the first one is cnvm.</summary>
    public abstract IReadOnlyList<string> Sides { get; }

    /// <summary>Rounds when the caller does not say.</summary>
    protected virtual int DefaultRounds => 5;

    /// <summary>After this long no further round begins.</summary>
    protected virtual TimeSpan Budget => TimeSpan.FromSeconds(35);

    /// <summary>Takes one sample of every measure of one side.</summary>
    /// <exception cref="UnavailableException">This side cannot be measured here.</exception>
    /// <exception cref="MeasurementException">It should have worked and did not.</exception>
    protected abstract double[] Sample(string side);

    /// <summary>What all sides need, made once before the first round.</summary>
    /// <exception cref="UnavailableException">Nothing can be measured here.</exception>
    protected virtual void SetUp()
    {
    }

    /// <summary>Undoes <see cref="SetUp"/>, also after a failure.</summary>
    protected virtual void TearDown()
    {
    }

    /// <summary>
    /// Measures. What cannot be measured is in the figures too, with the reason. A side that fails twice is given up; a single failure
    /// among good samples is a remark beside the figure.
    /// </summary>
    /// <param name="rounds">Rounds, or null for the experiment's own number.</param>
    /// <param name="progress">Gets one line for each round.</param>
    public IReadOnlyList<Figure> Run(int? rounds, Action<string> progress)
    {
        var samples = Sides.ToDictionary(s => s, _ => new List<double[]>());
        var missing = new Dictionary<string, Reading>();
        var failures = new Dictionary<string, string>();
        try
        {
            SetUp();
            RunRounds(rounds, samples, missing, failures, progress);
        }
        catch (Exception e) when (e is UnavailableException or MeasurementException)
        {
            foreach (string side in Sides)
            {
                missing.TryAdd(side, Explain(side, e));
            }
        }
        finally
        {
            TearDown();
        }

        return [.. Measures.Select((m, i) => new Figure(m, Result(Sides[0], i), [.. Sides.Skip(1).Select(s => Result(s, i))]))];

        Reading Result(string side, int measure) =>
            missing.TryGetValue(side, out Reading? reading) ? reading : Reading.Of(side, [.. samples[side].Select(s => s[measure])], failures.GetValueOrDefault(side));
    }

    /// <summary>Takes away what a run that will not come to its end has set up. Any thread.</summary>
    public void Abandon() => TearDown();

    private static Reading Explain(string side, Exception e) =>
        e is UnavailableException ? Reading.SkippedFor(side, e.Message) : Reading.FailedFor(side, e.Message);

    private void RunRounds(
        int? asked,
        Dictionary<string, List<double[]>> samples,
        Dictionary<string, Reading> missing,
        Dictionary<string, string> failures,
        Action<string> progress)
    {
        var clock = Stopwatch.StartNew();
        int rounds = asked ?? DefaultRounds;

        // Round 0 warms caches, the host's and the harness's own, and is thrown away.
        for (int round = 0; round <= rounds && missing.Count < Sides.Count; round++)
        {
            if (asked is null && round > EnoughRounds && clock.Elapsed > Budget)
            {
                progress($"stopped after {round - 1} rounds, {clock.Elapsed.TotalSeconds:F0} s");
                break;
            }

            for (int turn = 0; turn < Sides.Count; turn++)
            {
                string side = Sides[(round + turn) % Sides.Count];
                if (missing.ContainsKey(side))
                {
                    continue;
                }

                try
                {
                    double[] sample = Sample(side);
                    progress($"{(round == 0 ? "warm-up" : $"{round}/{rounds}")} {side} {Describe(sample)}");
                    if (round > 0)
                    {
                        samples[side].Add(sample);
                    }
                }
                catch (UnavailableException e)
                {
                    missing[side] = Explain(side, e);
                    progress($"{side} skipped: {e.Message}");
                }
                catch (MeasurementException e)
                {
                    progress($"{side} FAILED: {e.Message}");
                    if (!failures.TryAdd(side, "one run failed: " + e.Message))
                    {
                        missing[side] = Explain(side, e);
                    }
                }
            }
        }
    }

    private string Describe(double[] sample) => string.Join(", ", sample.Select((v, i) => $"{Measures[i].Name} {Table.Number(v)} {Measures[i].Unit}"));
}
