namespace Cnvm.Bench.Tests;

public sealed class ExperimentTests
{
    [Fact]
    public void Figures_are_medians_without_the_warm_up()
    {
        var experiment = new Scripted(new() { ["cnvm"] = [100, 3, 1, 2], ["peer"] = [100, 4, 8, 4] });
        Figure figure = Assert.Single(experiment.Run(3, _ => { }));
        Assert.Equal(2, figure.Value.Value);
        Assert.Equal(4, figure.Peers[0].Value);
        Assert.Equal(["value", "2.000", "ms", "peer", "4.000", "0.500"], Words(figure));
    }

    [Fact]
    public void Sides_take_turns()
    {
        var experiment = new Scripted(new() { ["cnvm"] = [1, 1, 1], ["peer"] = [1, 1, 1] });
        experiment.Run(2, _ => { });
        Assert.Equal("cnvm peer peer cnvm cnvm peer", string.Join(' ', experiment.Order));
    }

    [Fact]
    public void A_side_that_cannot_be_measured_is_skipped_with_its_reason_and_the_other_one_is_not()
    {
        var experiment = new Scripted(new() { ["cnvm"] = [new UnavailableException("no such thing here")], ["peer"] = [1, 5, 5] });
        Figure figure = Assert.Single(experiment.Run(2, _ => { }));
        Assert.False(figure.Value.Failed);
        Assert.Equal(5, figure.Peers[0].Value);
        Assert.Equal(["value", "skipped", "ms", "peer", "5.000", "-", "#", "cnvm:", "no", "such", "thing", "here"], Words(figure));
    }

    [Fact]
    public void A_side_that_fails_twice_has_no_value()
    {
        var experiment = new Scripted(new()
        {
            ["cnvm"] = [1, new MeasurementException("first"), new MeasurementException("second"), 1],
            ["peer"] = [1, 1, 1, 1],
        });
        Figure figure = Assert.Single(experiment.Run(3, _ => { }));
        Assert.True(figure.Value.Failed);
        Assert.Null(figure.Value.Value);
        Assert.Contains("second", Table.Lines(figure).Single());
    }

    [Fact]
    public void A_single_failure_is_a_remark()
    {
        var experiment = new Scripted(new() { ["cnvm"] = [1, new MeasurementException("it broke"), 7], ["peer"] = [1, 1, 1] });
        Figure figure = Assert.Single(experiment.Run(2, _ => { }));
        Assert.False(figure.Value.Failed);
        Assert.Equal(7, figure.Value.Value);
        Assert.EndsWith("# cnvm: one run failed: it broke", Table.Lines(figure).Single());
    }

    [Fact]
    public void What_cannot_be_set_up_skips_every_side()
    {
        var experiment = new Scripted(new() { ["cnvm"] = [], ["peer"] = [] }) { SetUpFailure = new UnavailableException("nothing") };
        Figure figure = Assert.Single(experiment.Run(2, _ => { }));
        Assert.Equal("nothing", figure.Value.Reason);
        Assert.Equal("nothing", figure.Peers[0].Reason);
        Assert.True(experiment.TornDown);
    }

    [Theory]
    [InlineData(0, "0.0")]
    [InlineData(0.12345, "0.123")]
    [InlineData(12.3456, "12.35")]
    [InlineData(123456.7, "123457")]
    public void Numbers_have_four_digits(double value, string text) => Assert.Equal(text, Table.Number(value));

    private static string[] Words(Figure figure) => Table.Lines(figure).Single().Split(' ', StringSplitOptions.RemoveEmptyEntries);

    /// <summary>Samples, or exceptions, in the order in which they are taken.</summary>
    private sealed class Scripted(Dictionary<string, object[]> script) : Experiment
    {
        private readonly Dictionary<string, Queue<object>> _script = script.ToDictionary(p => p.Key, p => new Queue<object>(p.Value));

        public List<string> Order { get; } = [];

        public Exception? SetUpFailure { get; init; }

        public bool TornDown { get; private set; }

        public override IReadOnlyList<Measure> Measures { get; } = [new("value", "ms", "a value")];

        public override IReadOnlyList<string> Sides => [.. _script.Keys];

        protected override void SetUp()
        {
            if (SetUpFailure is not null)
            {
                throw SetUpFailure;
            }
        }

        protected override void TearDown() => TornDown = true;

        protected override double[] Sample(string side)
        {
            Order.Add(side);
            object next = _script[side].Dequeue();
            return next is Exception e ? throw e : [Convert.ToDouble(next)];
        }
    }
}
