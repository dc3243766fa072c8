using System.Diagnostics;
using System.Runtime.InteropServices;
using Cnvm.CommandLine;
using Cnvm.Linux;
using Cnvm.Virtio;
using Cnvm.Virtio.VhostUser;
using Cnvm.Vmm;
using Cnvm.Vmm.Config;
using Cnvm.VmmProgram.Logging;
using Microsoft.Extensions.Logging;

namespace Cnvm.BackendProgram;

/// <summary>What every program that serves a device by vhost-user does: answers about itself, log, socket, signals, and how it ends.</summary>
/// <param name="name">Name of the program.</param>
/// <param name="version">Its full version.</param>
/// <param name="help">What <c>--help</c> prints.</param>
/// <param name="capabilities">What <c>--print-capabilities</c> prints.</param>
internal sealed partial class BackendProgram(string name, string version, string help, string capabilities)
{
    private const int Failed = 1;
    private const int WrongUsage = 2;

    // Front ends that may wait while another one is served.
    private const int Backlog = 4;

    /// <summary>Runs until a signal comes, or something goes wrong.</summary>
    /// <param name="parse">Makes options of the command line.</param>
    /// <param name="create">Makes the device that is served.</param>
    /// <returns>The process's exit code.</returns>
    public int Run<T>(Func<T> parse, Func<T, ILogger, VirtioDevice> create)
        where T : BackendOptions
    {
        long started = Stopwatch.GetTimestamp();
        try
        {
            T options = parse();
            if (options.ShowCapabilities)
            {
                ProgramOutput.Print(options.ShowHelp ? help : options.ShowVersion ? $"{name} v{version}" : capabilities);
                return 0;
            }

            SmallPages.UseForProcess();
            OpenFileLimit.Raise();

            // The socket is for the caller only.
            FileCreationMask.Set(FileCreationMask.OwnerOnly);
            using var logging = new LineLoggerFactory(
                options.LogLevel, new LogFormat($"{name}: {{boottime}}s: <{{thread}}> {{level}}:{{location}} -- {{msg}}"), options.LogFile, started);
            ILogger logger = logging.CreateLogger("vhost-user");
            Serve(create(options, logger), options.Socket, logger);
            return 0;
        }
        catch (Exception e) when (e is CommandLineException or ConfigException)
        {
            ProgramOutput.PrintError(name, e);
            return WrongUsage;
        }
        catch (Exception e) when (e is MachineBuildException or IOException or UnauthorizedAccessException)
        {
            ProgramOutput.PrintError(name, e);
            return Failed;
        }
    }

    /// <summary>Serves front ends until a signal comes.</summary>
    /// <param name="device">Owned from now on.</param>
    /// <exception cref="IOException">The socket cannot be used.</exception>
    private static void Serve(VirtioDevice device, PathOrFd socket, ILogger logger)
    {
        UnixListener listener;
        try
        {
            listener = socket.Path is { } path ? UnixListener.Bind(path, Backlog) : UnixListener.FromFd(socket.Fd!.Value);
        }
        catch
        {
            device.Dispose();
            throw;
        }

        using var server = new VhostUserServer(device, listener, logger);
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
