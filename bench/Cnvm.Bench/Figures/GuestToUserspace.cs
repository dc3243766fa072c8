using System.Globalization;
using Cnvm.Bench.Machines;
using Cnvm.Nested;

namespace Cnvm.Bench.Figures;

/// <summary>
/// From the execution of the program until the small kernel has started the init of the initramfs. Real Linux needs real hardware
/// virtualisation: without it this runs in the nested KVM host, where everything is emulated and times are long, but alike for all.
/// </summary>
internal sealed class GuestToUserspace(Workspace workspace) : Experiment
{
    private const string UserspaceText = "CNVM-GUEST-READY";
    private static readonly TimeSpan Limit = TimeSpan.FromSeconds(60);
    private readonly Vmm[] _machines = [new CnvmVmm(), QemuVmm.Microvm];
    private readonly bool _hasHardware = File.ReadLines("/proc/cpuinfo")
        .Any(l => l.StartsWith("flags", StringComparison.Ordinal) && l.Split(' ').Any(f => f is "vmx" or "svm"));

    private NestedHost? _host;

    public override IReadOnlyList<Measure> Measures { get; } =
        [new("guest-userspace", "ms", "program start to init of the small kernel (in the nested KVM host unless this one has VMX or SVM)")];

    public override IReadOnlyList<string> Sides => [.. _machines.Select(m => m.Name)];

    protected override int DefaultRounds => 5;

    protected override TimeSpan Budget => TimeSpan.FromSeconds(60);

    protected override void TearDown()
    {
        _host?.DisposeAsync().AsTask().GetAwaiter().GetResult();
        _host = null;
    }

    protected override double[] Sample(string side)
    {
        Vmm machine = _machines.First(m => m.Name == side);
        var plan = new GuestPlan
        {
            Kernel = workspace.Image("vmlinux-small"),
            Initramfs = workspace.Image("initramfs.cpio"),
            CommandLine = "console=ttyS0 quiet panic=-1",
            SerialOutput = true,
        };
        if (_hasHardware)
        {
            using Child child = machine.Start(workspace, plan, Limit);
            return [(child.WaitFor(UserspaceText) - child.Executed) / 1e6];
        }

        string[] words = [Path.Combine(workspace.Root, "bench", "peers", "userspace.sh"), UserspaceText, machine.Program(workspace), .. machine.Arguments(plan)];
        try
        {
            _host ??= StartHost();
            CommandResult result = _host.RunAsync(string.Join(' ', words.Select(Shell.Quote)), Limit).GetAwaiter().GetResult().OrThrow();
            return [double.Parse(result.Output, CultureInfo.InvariantCulture)];
        }
        catch (Exception e) when (e is NestedHostException or TimeoutException)
        {
            // Emulated hosts have been seen to stop under load; the next sample gets a new one.
            TearDown();
            throw new MeasurementException($"{side} in the nested host: {e.Message}", e);
        }
    }

    /// <exception cref="UnavailableException">There is no nested host.</exception>
    internal static NestedHost StartHost()
    {
        try
        {
            return NestedHost.StartAsync().GetAwaiter().GetResult();
        }
        catch (NestedHostException e)
        {
            throw new UnavailableException(e.Message);
        }
    }
}
