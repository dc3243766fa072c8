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
    private const int FewestBarColumns = 5;
    private const int UsualColumns = 80;
    private const int PageBytes = 4096;

    public static int Run(Invocation invocation)
    {
        VmTarget target = VmTarget.Find(invocation);
        byte[] request = Request(invocation);
        using CnvmClient client = target.Connect();
        MigrationInfo end = Move(target, client, request);
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
            : throw NotMoved(target.Display, end);
    }

    /// <summary>What is to be said of a VM that has not arrived, as far as is known.</summary>
    internal static CliException NotMoved(string display, MigrationInfo end, bool onlyChecked = false)
    {
        string what = end.Phase == MigrationPhase.Unknown ? "may have moved, or not: look at both sides before vm.resume here"
            : onlyChecked ? "cannot move" : "has not moved";
        return new CliException(ExitCode.Failure, $"{display} {what}: {Lines(end.Error)}");
    }

    /// <summary>Obstacles, one a line if there are more.</summary>
    private static string Lines(string? error) =>
        error is not null && error.Contains("; ", StringComparison.Ordinal) ? $"\n  {error.Replace("; ", "\n  ", StringComparison.Ordinal)}" : error ?? "";

    /// <summary>Moves, shows how far it is, and cancels at an interrupt.</summary>
    /// <param name="request">Body of <c>vm.send-migration</c>, with <c>wait</c>.</param>
    internal static MigrationInfo Move(VmTarget target, CnvmClient client, byte[] request)
    {
        using PosixSignalRegistration interrupt = PosixSignalRegistration.Create(PosixSignal.SIGINT, context =>
        {
            context.Cancel = true;
            Cancel(target);
        });
        return Wait(target, client, request);
    }

    /// <summary>
    /// One line for people, for example <c>[####......] Precopy, round 2, 130 MiB/s, 180 MiB left</c>. A line that the terminal breaks could not be written
    /// over: the bar gives way, then the end.
    /// </summary>
    /// <param name="columns">Of the terminal.</param>
    internal static string Line(MigrationInfo info, int columns)
    {
        ulong all = info.MemoryBytes + info.DiskBytes;
        double part = all == 0 ? 0 : 1 - Math.Min(1.0, Left(info) / (double)all);
        string rate = info.BandwidthBytesPerS == 0 ? "" : $", {Units.Size(info.BandwidthBytesPerS)}/s";
        if (info.Phase is MigrationPhase.Postcopy or MigrationPhase.PostcopyLost)
        {
            rate = info.Phase == MigrationPhase.Postcopy ? $", {info.PostcopyFaults} waited for" : ", connection lost: neither VMM may end";
        }

        string downtime = info.ExpectedDowntimeMs is { } ms ? string.Create(CultureInfo.InvariantCulture, $", would stand still {ms} ms") : "";
        string text = string.Create(CultureInfo.InvariantCulture, $"] {info.Phase}, round {info.Rounds + 1}{rate}, {Units.Size(Left(info))} left{downtime}");

        // The last column stays free: who writes there is taken to the next line.
        int room = Math.Max(columns - 1, 1);
        int bar = Math.Clamp(room - 1 - text.Length, FewestBarColumns, BarColumns);
        int done = (int)(part * bar);
        string line = $"[{new string('#', done)}{new string('.', bar - done)}{text}";
        return line.Length <= room ? line : line[..room];
    }

    /// <param name="keeps">The VM is here too, paused.</param>
    internal static string Summary(string name, MigrationInfo info, bool keeps = false) => string.Create(
        CultureInfo.InvariantCulture,
        $"""
        {name} has moved to {info.Url} ({info.Peer}); {(keeps ? "here it stays paused, and must not go on" : "its VMM here has ended")}
          time       {info.ElapsedMs / 1000.0:0.0} s in {info.Rounds} rounds, of which the guest stood still {info.DowntimeMs?.ToString(CultureInfo.InvariantCulture) ?? "as before,"} ms
          memory     {Units.Size(info.MemoryBytes)}{Memory(info)}
        {Deltas(info)}{Disks(info)}{Postcopy(info)}  connection {Units.Size(info.TransferredBytes)}, compression {info.Compression}
        """);

    private static string Memory(MigrationInfo info) => info.DataPages + info.ZeroPages == 0
        ? ", handed over"
        : $"; {Units.Size(info.DataPages * PageBytes)} sent, {Units.Size(info.ZeroPages * PageBytes)} of zeros left out";

    private static string Deltas(MigrationInfo info) => info.DeltaPages == 0 ? "" : string.Create(
        CultureInfo.InvariantCulture, $"  deltas     {info.DeltaPages} pages; {Units.Size(info.DeltaSavedBytes)} of them were there already\n");

    private static string Disks(MigrationInfo info) => info.DiskBytes == 0 ? "" : string.Create(
        CultureInfo.InvariantCulture,
        $"  disks      {Units.Size(info.DiskBytes)}; {Units.Size(info.DiskDataBytes)} sent, {Units.Size(info.DiskZeroBytes)} of holes left out; the files here stay\n");

    private static string Postcopy(MigrationInfo info) => info.PostcopyFaults == 0 ? "" : string.Create(
        CultureInfo.InvariantCulture, $"  post-copy  {info.PostcopyFaults} pages were waited for\n");

    /// <summary>In the first round what is left goes down with every message, later it is what the last round left.</summary>
    private static ulong Left(MigrationInfo info)
    {
        ulong all = info.MemoryBytes + info.DiskBytes;
        ulong sent = ((info.DataPages + info.ZeroPages) * PageBytes) + info.DiskDataBytes + info.DiskZeroBytes;
        return info.Rounds == 0 ? all - Math.Min(sent, all) : info.RemainingBytes;
    }

    private static byte[] Request(Invocation invocation) => JsonObject.Write(json =>
    {
        json.Text("destination_url", invocation.Operands[0]);
        WriteLimits(json, invocation);
        json.Text("compression", invocation.Value("--compression") switch
        {
            null => null,
            "auto" => "Auto",
            "none" => "None",
            "lz4" => "Lz4",
            var other => throw CliException.Usage($"--compression: '{other}' is not one of auto, none, lz4"),
        });
        json.Text("tls_dir", invocation.Value("--tls") is { } folder ? Path.GetFullPath(folder) : null);
        json.Text("tls_peer_name", invocation.Value("--tls-name"));
        if (invocation.Value("--postcopy") is { } when)
        {
            if (when == "fallback" && invocation.Has("--finish"))
            {
                throw CliException.Usage("--postcopy fallback and --finish both say what to do past the timeout");
            }

            json.Text("memory_mode", when == "now" ? "Postcopy" : null);
            json.Text("timeout_strategy", when switch
            {
                "now" => null,
                "fallback" => "Postcopy",
                _ => throw CliException.Usage($"--postcopy: '{when}' is not one of now, fallback"),
            });
        }

        if (invocation.Has("--resume"))
        {
            json.Toggle("resume", true);
        }

        json.Toggle("wait", true);
        json.Number("connections", Connections(invocation));
        if (invocation.Has("--local"))
        {
            json.Toggle("local", true);
        }

        if (invocation.Has("--with-disks"))
        {
            json.Toggle("with_disks", true);
        }
    });

    /// <summary>What every command that moves a VM takes to say how long and how fast.</summary>
    internal static void WriteLimits(JsonObject json, Invocation invocation)
    {
        json.Number("downtime_ms", Milliseconds(invocation, "--downtime"));
        json.Number("timeout_s", Milliseconds(invocation, "--timeout") is { } ms ? Math.Max(1, ms / 1000) : null);
        json.Text("timeout_strategy", invocation.Has("--finish") ? "Ignore" : null);
        json.Number("max_bytes_per_s", invocation.Size("--bandwidth"));
        json.Number("delta_cache", invocation.Size("--delta-cache"));
        if (invocation.Has("--auto-converge"))
        {
            json.Toggle("auto_converge", true);
        }
    }

    private static ulong? Connections(Invocation invocation) => invocation.Value("--connections") is not { } text ? null
        : ulong.TryParse(text, NumberStyles.None, CultureInfo.InvariantCulture, out ulong number) ? number
        : throw CliException.Usage($"--connections: '{text}' is not a number");

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
            int columns = Terminal.TryGetSize(Stdio.Stderr, out ushort width, out _) && width > 0 ? width : UsualColumns;
            Stdio.Write(Stdio.Stderr, System.Text.Encoding.UTF8.GetBytes($"\r\e[K{Line(client.Migration(), columns)}"));
            return true;
        }
        catch (Exception e) when (e is ApiCallException or LinuxException)
        {
            // It is over; the other connection says how.
            return false;
        }
    }
}
