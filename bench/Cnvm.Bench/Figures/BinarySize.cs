namespace Cnvm.Bench.Figures;

/// <summary>Size of the published program against its budget.</summary>
internal sealed class BinarySize(Workspace workspace) : Experiment
{
    private const double BudgetMegabytes = 12;

    public override IReadOnlyList<Measure> Measures { get; } = [new("binary-size", "MB", "size of out/bin/cnvm-vmm")];

    public override IReadOnlyList<string> Sides { get; } = ["cnvm", "budget"];

    protected override int DefaultRounds => 1;

    protected override double[] Sample(string side) =>
        [side == "budget" ? BudgetMegabytes : new FileInfo(workspace.CnvmProgram).Length / 1e6];
}
