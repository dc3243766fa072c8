using System.Globalization;
using Cnvm.Bench.Machines;
using Cnvm.Nested;

namespace Cnvm.Bench.Devices;

/// <summary>A Linux guest at its shell, on a <see cref="DeviceHost"/>. One command at a time; killed by <see cref="DisposeAsync"/>.</summary>
internal sealed class DeviceGuest : IAsyncDisposable
{
    private const string ReadyText = "CNVM-GUEST-READY";
    private const string EndText = "work: end";

    // Half of it may be in the guest's page cache.
    private const int MemoryMiB = 512;
    private static readonly TimeSpan Patience = TimeSpan.FromMinutes(2);
    private readonly HostProcess _process;
    private int _commands;
    private GuestClock? _clock;

    private DeviceGuest(HostProcess process) => _process = process;

    /// <summary>Boots a guest to its shell.</summary>
    /// <param name="workspace">Where images are.</param>
    /// <param name="host">Where it runs.</param>
    /// <param name="machine">What runs it.</param>
    /// <param name="plan">Its devices.</param>
    public static async Task<DeviceGuest> BootAsync(Workspace workspace, DeviceHost host, Vmm machine, GuestPlan plan)
    {
        plan = plan with
        {
            Kernel = workspace.Image("vmlinux-small"),
            Initramfs = host.Initramfs,
            CommandLine = $"console=ttyS0 quiet panic=-1 {machine.KernelParameters}".TrimEnd(),
            SerialOutput = true,
            Memory = MemoryMiB,

            // With one processor emulated hosts lose guests at work on the network, with two they hardly ever do.
            Cpus = host.IsNested ? 2 : 1,
        };
        var guest = new DeviceGuest(await host.StartAsync([machine.Program(workspace), .. machine.Arguments(plan)], plan.Tap is not null));
        try
        {
            await guest._process.WaitForAsync(ReadyText, Patience);
            await guest._process.WaitForAsync("# ", Patience);

            // From here on lines are taken as they are: no echo, no line editing, no prompt, and nothing from the kernel in between.
            await guest._process.WriteAsync("stty -echo; dmesg -n 1; PS1=; while IFS= read -r line; do eval \"$line\"; done\n");
            (long asked, long told, double time) = await guest.AskTimeAsync();
            guest._clock = new GuestClock(asked, told, time);
            return guest;
        }
        catch
        {
            await guest.DisposeAsync();
            throw;
        }
    }

    /// <summary>Runs a command that must succeed, and returns what it printed.</summary>
    public async Task<string> RunAsync(string command)
    {
        int number = ++_commands;
        string begin = string.Create(CultureInfo.InvariantCulture, $"BEGIN-{number}.");
        string end = string.Create(CultureInfo.InvariantCulture, $"END-{number}:");

        // Quotes in the marks, so that an echo of the line is not taken for the answer.
        await _process.WriteAsync(string.Create(
            CultureInfo.InvariantCulture, $"echo BEGIN''-{number}.; ({command}) </dev/null 2>&1; echo END''-{number}:$?.\n"));
        await _process.WaitForAsync(end, Patience);
        await _process.WaitForAsync(".", Patience);
        string output = _process.Output;
        int at = output.LastIndexOf(begin, StringComparison.Ordinal) + begin.Length;
        int over = output.LastIndexOf(end, StringComparison.Ordinal);
        string text = output[at..over].Trim();
        return output.AsSpan(over + end.Length).StartsWith("0.")
            ? text
            : throw new MeasurementException($"'{command}' failed in the guest: {text}");
    }

    /// <summary>Runs bench/peers/work.c.</summary>
    /// <exception cref="MeasurementException">It failed.</exception>
    public async Task<WorkResult> WorkAsync(string arguments)
    {
        string output = await RunAsync("work " + arguments);
        int at = output.LastIndexOf(EndText, StringComparison.Ordinal);
        return at >= 0 ? WorkResult.Parse(output[(at + EndText.Length)..]) : throw new MeasurementException($"work {arguments} ended with '{output}'");
    }

    /// <summary>Whether the guest's clock went as the host's since the guest was booted.</summary>
    /// <exception cref="MeasurementException">It did not.</exception>
    public async Task CheckClockAsync()
    {
        (long asked, long told, double time) = await AskTimeAsync();
        _clock!.Check(asked, told, time);
    }

    public ValueTask DisposeAsync() => _process.DisposeAsync();

    private async Task<(long Asked, long Told, double Seconds)> AskTimeAsync()
    {
        long asked = Child.Now;
        string text = await RunAsync("cut -d ' ' -f 1 /proc/uptime");
        long told = Child.Now;
        return double.TryParse(text, NumberStyles.Float, CultureInfo.InvariantCulture, out double seconds)
            ? (asked, told, seconds)
            : throw new MeasurementException($"the guest says '{text}' for its time");
    }
}
