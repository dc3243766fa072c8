using System.Globalization;
using Cnvm.Bench.Machines;
using Cnvm.Nested;

namespace Cnvm.Bench.Devices;

/// <summary>A Linux guest at its shell, on a <see cref="DeviceHost"/>. One command at a time; killed by <see cref="DisposeAsync"/>.</summary>
internal sealed class DeviceGuest : IAsyncDisposable
{
    private const string ReadyText = "CNVM-GUEST-READY";
    private const string BeginText = "work: begin";
    private const string EndText = "work: end";

    // Half of it may be in the guest's page cache.
    private const int MemoryMiB = 512;
    private static readonly TimeSpan Patience = TimeSpan.FromMinutes(2);
    private readonly HostProcess _process;
    private readonly bool _isNested;
    private int _commands;

    private DeviceGuest(HostProcess process, bool isNested)
    {
        _process = process;
        _isNested = isNested;
    }

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
        var guest = new DeviceGuest(await host.StartAsync([machine.Program(workspace), .. machine.Arguments(plan)], plan.Tap is not null), host.IsNested);
        try
        {
            await guest._process.WaitForAsync(ReadyText, Patience);
            await guest._process.WaitForAsync("# ", Patience);

            // From here on lines are taken as they are: no echo, no line editing, no prompt, and nothing from the kernel in between.
            await guest._process.WriteAsync("stty -echo; dmesg -n 1; PS1=; while IFS= read -r line; do eval \"$line\"; done\n");
            await guest.RunAsync("true");
            return guest;
        }
        catch
        {
            await guest.DisposeAsync();
            throw;
        }
    }

    /// <summary>Runs a command that must succeed.</summary>
    public async Task RunAsync(string command)
    {
        int number = await TypeAsync(command);
        await EndAsync(command, number);
    }

    /// <summary>Runs bench/peers/work.c.</summary>
    /// <exception cref="MeasurementException">It failed, or the guest's clock is not the host's.</exception>
    public async Task<WorkResult> WorkAsync(string arguments)
    {
        int number = await TypeAsync("work " + arguments);
        string over = EndMark(number);
        try
        {
            await _process.WaitForAsync(BeginText, Patience, unless: over);
            long begin = Child.Now;
            await _process.WaitForAsync(EndText, Patience, unless: over);
            long elapsed = Child.Now - begin;
            await _process.WaitForAsync("\n", Patience);
            string output = _process.Output;
            string line = output[(output.LastIndexOf(EndText, StringComparison.Ordinal) + EndText.Length)..];
            await EndAsync(arguments, number);
            WorkResult result = WorkResult.Parse(line.Split('\n')[0]);
            result.CheckClock(elapsed, _isNested);
            return result;
        }
        catch (Exception e) when (e is NestedHostException or TimeoutException)
        {
            throw new MeasurementException($"work {arguments}: {e.Message}", e);
        }
    }

    public ValueTask DisposeAsync() => _process.DisposeAsync();

    private static string EndMark(int number) => string.Create(CultureInfo.InvariantCulture, $"END-{number}:");

    private async Task<int> TypeAsync(string command)
    {
        int number = ++_commands;
        // Quotes in the mark, so that an echo of the line is not taken for the answer.
        await _process.WriteAsync(string.Create(CultureInfo.InvariantCulture, $"({command}) </dev/null 2>&1; echo END''-{number}:$?.\n"));
        return number;
    }

    private async Task EndAsync(string command, int number)
    {
        string mark = EndMark(number);
        await _process.WaitForAsync(mark, Patience);
        await _process.WaitForAsync(".", Patience);
        string output = _process.Output;
        if (!output.AsSpan(output.LastIndexOf(mark, StringComparison.Ordinal) + mark.Length).StartsWith("0."))
        {
            throw new MeasurementException($"'{command}' failed in the guest: {output[Math.Max(0, output.Length - 1000)..]}");
        }
    }
}
