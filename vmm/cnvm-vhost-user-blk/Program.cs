using System.Diagnostics;
using System.Runtime.InteropServices;
using Cnvm.CommandLine;
using Cnvm.Linux;
using Cnvm.Virtio.Block;
using Cnvm.Virtio.VhostUser;
using Cnvm.Vmm;
using Cnvm.Vmm.Config;
using Cnvm.Vmm.Platform;
using Cnvm.VmmProgram.Logging;
using Microsoft.Extensions.Logging;

namespace Cnvm.BlockBackendProgram;

/// <summary>The program <c>cnvm-vhost-user-blk</c>: a disk image for virtual machines of other processes.</summary>
internal static partial class Program
{
    private const int Failed = 1;
    private const int WrongUsage = 2;

    // Front ends that may wait while another one is served.
    private const int Backlog = 4;

    private static int Main(string[] args)
    {
        long started = Stopwatch.GetTimestamp();
        try
        {
            BlockBackendOptions options = BlockBackendOptions.Parse(args);
            if (options.ShowCapabilities)
            {
                ProgramOutput.Print(options.ShowHelp ? BlockBackendHelp.Text
                    : options.ShowVersion ? $"{BlockBackendOptions.Program} v{BuildVersion.Full}"
                    : BlockBackendHelp.Capabilities);
                return 0;
            }

            SmallPages.UseForProcess();
            OpenFileLimit.Raise();

            // The socket is for the caller only.
            FileCreationMask.Set(FileCreationMask.OwnerOnly);
            using var logging = new LineLoggerFactory(
                options.LogLevel, new LogFormat($"{BlockBackendOptions.Program}: {{boottime}}s: <{{thread}}> {{level}}:{{location}} -- {{msg}}"), options.LogFile, started);
            Serve(options, logging.CreateLogger("vhost-user"));
            return 0;
        }
        catch (Exception e) when (e is CommandLineException or ConfigException)
        {
            ProgramOutput.PrintError(BlockBackendOptions.Program, e);
            return WrongUsage;
        }
        catch (Exception e) when (e is MachineBuildException or IOException or UnauthorizedAccessException)
        {
            ProgramOutput.PrintError(BlockBackendOptions.Program, e);
            return Failed;
        }
    }

    /// <summary>Serves front ends until a signal comes.</summary>
    /// <exception cref="MachineBuildException">The image cannot be used.</exception>
    /// <exception cref="IOException">The socket cannot.</exception>
    private static void Serve(BlockBackendOptions options, ILogger logger)
    {
        BlockDevice disk = DeviceFactory.CreateDisk(options.Disk, DeviceFactory.CreateLimiter(options.Disk.RateLimiterConfig), logger, outlivesProcess: true);
        UnixListener listener;
        try
        {
            listener = options.Socket.Path is { } path ? UnixListener.Bind(path, Backlog) : UnixListener.FromFd(options.Socket.Fd!.Value);
        }
        catch
        {
            disk.Dispose();
            throw;
        }

        using var server = new VhostUserServer(disk, listener, logger);
        bool isEnding = false;
        var signals = new List<PosixSignalRegistration>();
        foreach (PosixSignal kind in (ReadOnlySpan<PosixSignal>)[PosixSignal.SIGINT, PosixSignal.SIGTERM, PosixSignal.SIGHUP])
        {
            signals.Add(PosixSignalRegistration.Create(kind, context =>
            {
                // A second one does what it does without us: kill a process whose orderly end takes too long.
                context.Cancel = !Interlocked.Exchange(ref isEnding, true);
                LogSignal(logger, context.Signal);
                server.Stop();
            }));
        }

        server.Run();
        signals.ForEach(static s => s.Dispose());
    }

    [LoggerMessage(Level = LogLevel.Information, Message = "{Signal}: ending")]
    private static partial void LogSignal(ILogger logger, PosixSignal signal);
}
