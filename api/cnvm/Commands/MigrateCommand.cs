using System.Globalization;
using System.Runtime.InteropServices;
using Cnvm.Api;
using Cnvm.Cli.Output;
using Cnvm.Cli.Parsing;
using Cnvm.Linux;
using Cnvm.Vmm.Migration;

namespace Cnvm.Cli.Commands;

/// <summary><c>cnvm migrate</c>: moves a VM, shows how far it is, and says what came of it.</summary>
internal static class MigrateCommand
{
    /// <summary>How often the figures on the screen change.</summary>
    private const int AskMilliseconds = 200;

    private const int BarColumns = 30;
    private const int PageBytes = 4096;

    public static int Run(Invocation invocation)
    {
        VmTarget target = VmTarget.Find(invocation);
        byte[] request = Request(invocation);
        using CnvmClient client = target.Connect();
        using PosixSignalRegistration interrupt = PosixSignalRegistration.Create(PosixSignal.SIGINT, context =>
        {
            context.Cancel = true;
            Cancel(target);
        });
        MigrationInfo end = Wait(target, client, request);
        if (invocation.Json)
        {
            Stdio.Print(CnvmClient.Write(end));
        }
        else if (end.Phase == MigrationPhase.Completed)
        {
            Stdio.Print(Summary(target.Display, end));
        }

        return end.Phase == MigrationPhase.Completed
            ? ExitCode.Success
            : throw new CliException(ExitCode.Failure, $"{target.Display} has not moved: {end.Error}");
    }

    /// <summary>One line for people, for example <c>[####......] 42 % round 2, 130 MiB/s, 180 MiB left</c>.</summary>
    internal static string Line(MigrationInfo info)
    {
        double part = info.MemoryBytes == 0 ? 0 : 1 - Math.Min(1.0, Left(info) / (double)info.MemoryBytes);
        int done = (int)(part * BarColumns);
        string rate = info.BandwidthBytesPerS == 0 ? "" : $", {Units.Size(info.BandwidthBytesPerS)}/s";
        string downtime = info.ExpectedDowntimeMs is { } ms ? string.Create(CultureInfo.InvariantCulture, $", would stand still {ms} ms") : "";
        return string.Create(
            CultureInfo.InvariantCulture,
            $"[{new string('#', done)}{new string('.', BarColumns - done)}] {info.Phase}, round {info.Rounds + 1}{rate}, {Units.Size(Left(info))} left{downtime}");
    }

    internal static string Summary(string name, MigrationInfo info) => string.Create(
        CultureInfo.InvariantCulture,
        $"""
        {name} has moved to {info.Url} ({info.Peer}); its VMM here has ended
          time       {info.ElapsedMs / 1000.0:0.0} s in {info.Rounds} rounds, of which the guest stood still {info.DowntimeMs?.ToString(CultureInfo.InvariantCulture) ?? "as before,"} ms
          memory     {Units.Size(info.MemoryBytes)}; {Units.Size(info.DataPages * PageBytes)} sent, {Units.Size(info.ZeroPages * PageBytes)} of zeros left out
          connection {Units.Size(info.TransferredBytes)}, compression {info.Compression}
        """);

    /// <summary>In the first round what is left goes down with every message, later it is what the last round left.</summary>
    private static ulong Left(MigrationInfo info)
    {
        ulong sent = (info.DataPages + info.ZeroPages) * PageBytes;
        return info.Rounds == 0 ? info.MemoryBytes - Math.Min(sent, info.MemoryBytes) : info.RemainingBytes;
    }

    private static byte[] Request(Invocation invocation) => JsonObject.Write(json =>
    {
        json.Text("destination_url", invocation.Operands[0]);
        json.Number("downtime_ms", Milliseconds(invocation, "--downtime"));
        json.Number("timeout_s", Milliseconds(invocation, "--timeout") is { } ms ? Math.Max(1, ms / 1000) : null);
        json.Text("timeout_strategy", invocation.Has("--finish") ? "Ignore" : null);
        json.Number("max_bytes_per_s", invocation.Size("--bandwidth"));
        json.Text("compression", invocation.Value("--compression") switch
        {
            null => null,
            "auto" => "Auto",
            "none" => "None",
            "lz4" => "Lz4",
            var other => throw CliException.Usage($"--compression: '{other}' is not one of auto, none, lz4"),
        });
        json.Toggle("wait", true);
        if (invocation.Has("--auto-converge"))
        {
            json.Toggle("auto_converge", true);
        }
    });

    private static ulong? Milliseconds(Invocation invocation, string option) =>
        invocation.Duration(option) is { } time ? Math.Max(1, (ulong)time.TotalMilliseconds) : null;

    private static void Cancel(VmTarget target)
    {
        try
        {
            using CnvmClient client = target.Connect();
            client.Call("PUT", "vm.migration-cancel");
        }
        catch (Exception e) when (e is ApiCallException or CliException or LinuxException)
        {
            Stdio.Error($"\ncnvm: not cancelled: {e.Message}");
        }
    }

    /// <summary>Waits on one connection and asks for figures on another.</summary>
    private static MigrationInfo Wait(VmTarget target, CnvmClient client, byte[] request)
    {
        MigrationInfo? end = null;
        Exception? failure = null;
        var waiting = new Thread(() =>
        {
            try
            {
                end = client.Migrate(request);
            }
            catch (Exception e) when (e is ApiCallException or LinuxException)
            {
                failure = e;
            }
        })
        {
            IsBackground = true,
        };
        waiting.Start();
        bool shows = Terminal.IsTerminal(Stdio.Stderr);
        while (!waiting.Join(shows ? AskMilliseconds : Timeout.Infinite))
        {
            shows = TryShow(target);
        }

        if (Terminal.IsTerminal(Stdio.Stderr))
        {
            Stdio.Write(Stdio.Stderr, "\r\e[K"u8);
        }

        if (failure is ApiCallException refused)
        {
            throw refused;
        }

        return end ?? throw new CliException(
            ExitCode.Failure, $"the VMM of {target.Display} ended before it said what became of the migration: {failure?.Message}");
    }

    private static bool TryShow(VmTarget target)
    {
        try
        {
            using CnvmClient client = CnvmClient.Connect(target.Socket);
            Stdio.Write(Stdio.Stderr, System.Text.Encoding.UTF8.GetBytes($"\r\e[K{Line(client.Migration())}"));
            return true;
        }
        catch (Exception e) when (e is ApiCallException or LinuxException)
        {
            // It is over; the other connection says how.
            return false;
        }
    }
}
