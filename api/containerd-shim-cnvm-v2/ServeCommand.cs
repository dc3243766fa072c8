using System.Diagnostics;
using System.Runtime.InteropServices;
using Cnvm.CommandLine;
using Cnvm.Linux;
using Cnvm.Shim.Events;
using Cnvm.Shim.Sandboxes;
using Cnvm.Shim.Tasks;
using Cnvm.VmmProgram.Logging;
using Microsoft.Extensions.Logging;

namespace Cnvm.Shim;

/// <summary>The process that <c>start</c> makes: serves containerd until its containers are gone.</summary>
internal static partial class ServeCommand
{
    private const int Stdout = 1;
    private const int Stderr = 2;

    public static async Task<int> RunAsync(ShimArguments arguments)
    {
        long started = Stopwatch.GetTimestamp();
        ShimServer server;
        try
        {
            SmallPages.UseForProcess();
            OpenFileLimit.Raise();
            server = ShimServer.Bind(arguments.Socket);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException or System.Net.Sockets.SocketException)
        {
            ProgramOutput.PrintError(Program.Name, e);
            return 1;
        }

        await using (server)
        {
            OpenLog();
            using var logging = new LineLoggerFactory(
                arguments.Debug ? LogLevel.Debug : LogLevel.Information, new LogFormat($"{Program.Name}: {{boottime}}s: {{level}}:{{location}} -- {{msg}}"), null, started);
            ILogger logger = logging.CreateLogger("shim");
            AnnounceReady();
            await ServeAsync(arguments, server, logger);
        }

        return 0;
    }

    private static async Task ServeAsync(ShimArguments arguments, ShimServer server, ILogger logger)
    {
        ShimIdentity identity = ShimIdentity.OfSocket(arguments.Address, arguments.Namespace, arguments.Id, arguments.Socket);
        string events = Environment.GetEnvironmentVariable("TTRPC_ADDRESS") is { Length: > 0 } address ? address : arguments.Address + ".ttrpc";
        using var stop = new CancellationTokenSource();
        using PosixSignalRegistration terminate = PosixSignalRegistration.Create(PosixSignal.SIGTERM, Stop);
        using PosixSignalRegistration interrupt = PosixSignalRegistration.Create(PosixSignal.SIGINT, Stop);
        LogServing(logger, identity.Id, identity.Socket);
        await using var shim = new ShimSession(
            identity, new SandboxFactory(logger), new EventPublisher(events, identity.Namespace, logger), new HostMetrics(HostCgroup.IsUnified), logger);
        await server.RunAsync(shim, stop.Token);
        LogEnding(logger);

        void Stop(PosixSignalContext context)
        {
            context.Cancel = true;
            stop.Cancel();
        }
    }

    // containerd reads it from a FIFO in the bundle, and may be away: then lines are lost rather than waited for.
    private static void OpenLog()
    {
        int fd = Libc.open("log", Libc.O_RDWR | Libc.O_NONBLOCK | Libc.O_CLOEXEC, 0);
        using var log = new FileDescriptor(fd >= 0 ? fd : LinuxError.Check(Libc.open("/dev/null", Libc.O_RDWR | Libc.O_CLOEXEC, 0), "open /dev/null"));
        FileDescriptor.Replace(Stderr, log.Value);
    }

    private static void AnnounceReady()
    {
        // If nobody hears it, whoever started this has ended and will ask for its end.
        _ = FileIo.Write(Stdout, System.Text.Encoding.UTF8.GetBytes(StartCommand.Ready));
        using var nothing = new FileDescriptor(LinuxError.Check(Libc.open("/dev/null", Libc.O_RDWR | Libc.O_CLOEXEC, 0), "open /dev/null"));
        FileDescriptor.Replace(Stdout, nothing.Value);
    }

    [LoggerMessage(Level = LogLevel.Information, Message = "serving {Id} at {Socket}")]
    private static partial void LogServing(ILogger logger, string id, string socket);

    [LoggerMessage(Level = LogLevel.Information, Message = "ending")]
    private static partial void LogEnding(ILogger logger);
}
