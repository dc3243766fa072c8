using System.Globalization;
using System.Text.RegularExpressions;
using Cnvm.Bench.Machines;

namespace Cnvm.Bench.Figures;

/// <summary>
/// Instructions of the software vCPU in a second of processor time, counted by itself, over a boot and over a boot with a shell loop behind
/// it. QEMU counts none, so the peer is what is wanted.
/// </summary>
internal sealed partial class SoftwareSpeed(Workspace workspace) : Experiment
{
    private const double Wanted = 80;
    private static readonly TimeSpan Limit = TimeSpan.FromMinutes(2);

    public override IReadOnlyList<Measure> Measures { get; } =
    [
        new("soft-mips-boot", "MIPS", "speed of the software vCPU in the boot of the small kernel", HigherIsBetter: true),
        new("soft-mips-shell", "MIPS", "speed of the software vCPU in a loop of the guest's shell", HigherIsBetter: true),
    ];

    public override IReadOnlyList<string> Sides { get; } = ["cnvm-soft", "wanted"];

    protected override int DefaultRounds => 3;

    protected override double[] Sample(string side)
    {
        if (side == "wanted")
        {
            return [Wanted, Wanted];
        }

        (double boot, double bootSeconds) = Run("true");
        (double all, double allSeconds) = Run("i=0; while [ $i -lt 50000 ]; do i=$((i + 1)); done");
        return [boot / bootSeconds / 1e6, (all - boot) / (allSeconds - bootSeconds) / 1e6];
    }

    private (double Instructions, double Seconds) Run(string command)
    {
        using ShellGuest guest = ShellGuest.Boot(CnvmVmm.Soft, workspace, Limit);
        guest.Time(command);
        double seconds = guest.ProcessorSeconds;
        string messages = guest.End();
        Match match = Instructions().Match(messages);
        return match.Success
            ? (double.Parse(match.Groups[1].Value, CultureInfo.InvariantCulture), seconds)
            : throw new MeasurementException($"no count of instructions in\n{messages}");
    }

    [GeneratedRegex(@"executed (\d+) instructions")]
    private static partial Regex Instructions();
}
