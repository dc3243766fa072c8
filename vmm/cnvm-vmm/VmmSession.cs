using System.Runtime.InteropServices;
using Cnvm.Api;
using Cnvm.Api.Registry;
using Cnvm.Linux;
using Cnvm.Vmm;
using Cnvm.CommandLine;
using Cnvm.VmmProgram.Logging;
using Microsoft.Extensions.Logging;

namespace Cnvm.VmmProgram;

/// <summary>
/// The parts of a running VMM, put together and taken apart in order: log, event monitor, the VMM and its thread, API server, and then
/// whatever ends it all: the guest, a client, a signal.
/// </summary>
internal sealed partial class VmmSession : IDisposable
{
    private readonly LaunchOptions _options;
    private readonly LineLoggerFactory _logging;
    private readonly ILogger _logger;
    private readonly EventMonitor? _events;
    private readonly VmmThread _thread;
    private readonly VmmService _vmm;
    private readonly ApiServer? _server;
    private readonly VmRegistration? _registration;
    private readonly List<PosixSignalRegistration> _signals = [];
    private readonly ManualResetEventSlim _ended = new(false);
    private int _exitCode;

    /// <param name="started">Timestamp of the process's start; log lines and events are dated from there.</param>
    /// <exception cref="IOException">A file, a socket or a descriptor cannot be used.</exception>
    /// <exception cref="CommandLineException">The log format is wrong.</exception>
    public VmmSession(LaunchOptions options, long started)
    {
        _options = options;
        // Sockets, logs and console files are for the caller only.
        FileCreationMask.Set(FileCreationMask.OwnerOnly);
        _logging = new LineLoggerFactory(options.LogLevel, new LogFormat(options.LogFormat ?? LogFormat.Default), options.LogFile, started);
        _logger = _logging.CreateLogger("vmm");
        UnixListener? listener = null;
        try
        {
            listener = Listen(options.ApiSocket ?? SocketFor(options.Name));
            _registration = Register(options);
            _events = options.EventMonitor is { } where ? new EventMonitor(where, started) : null;
            _thread = new VmmThread();
            _vmm = new VmmService(
                new VmmOptions
                {
                    OpenHypervisor = () => VmmBackend.OpenHypervisor(options.Hypervisor, _logging),
                    Ping = new VmmPing(
                        $"v{BuildVersion.Full}", BuildVersion.Number, Environment.ProcessId, ProgramVersion.Features),
                    Logging = _logging,
                    ConfigCodec = new VmConfigCodec(),
                    OnEvent = _events is { } monitor ? monitor.Add : static _ => { },
                    Started = started,
                    OnExit = End,
                    NoShutdown = options.NoShutdown,
                },
                _thread);
            if (listener is not null)
            {
                _server = new ApiServer(listener, _vmm, _thread, _logging.CreateLogger("api"));
                _server.ShutdownRequested += () => End(0);
            }
        }
        catch
        {
            _registration?.Dispose();
            listener?.Dispose();
            _events?.Dispose();
            _logging.Dispose();
            throw;
        }
    }

    /// <summary>Serves until something ends the VMM; returns the exit code.</summary>
    /// <exception cref="VmmException">The VM of the command line cannot be created or booted.</exception>
    public int Run()
    {
        CatchSignals();
        _server?.Start();
        if (_options.Seccomp is not "false" && _options.SeccompGiven)
        {
            LogSeccomp(_logger, _options.Seccomp);
        }

        if (_options.Vm is { } config)
        {
            _thread.Invoke(() =>
            {
                _vmm.Create(config);
                _vmm.Boot();
            });
        }
        else if (_options.Restore is { } restore)
        {
            _thread.Invoke(() => _vmm.Restore(
                restore.Config, [.. restore.Fds.Select(fd => new FileDescriptor(FileDescriptor.Duplicate(fd)))]));
        }
        else
        {
            // A VM will be asked for.
            _thread.PostWhenQuiet(VmConfigCodec.Prepare);
        }

        _ended.Wait();
        return _exitCode;
    }

    /// <summary>Takes everything apart: no request comes in any more, the machine stops, files and sockets are removed.</summary>
    public void Dispose()
    {
        _registration?.Dispose();
        _server?.Dispose();
        _thread.Dispose();
        _vmm.Dispose();
        _events?.Dispose();
        foreach (PosixSignalRegistration signal in _signals)
        {
            signal.Dispose();
        }

        _logging.Dispose();
        _ended.Dispose();
    }

    /// <summary>A VM that has a name and no socket gets one where it is looked for.</summary>
    private static PathOrFd? SocketFor(string? name)
    {
        if (name is null || !VmRegistry.IsValidName(name))
        {
            return null;
        }

        VmRegistry.EnsureFolder();
        return new PathOrFd(VmRegistry.SocketPathOf(name), null);
    }

    /// <summary>Shows this VMM to the command line. Who gave no name does not depend on it, so its failure is only logged.</summary>
    private VmRegistration? Register(LaunchOptions options)
    {
        string? path = options.ApiSocket is { } socket ? socket.Path : SocketFor(options.Name)?.Path;
        if (options.Name is { } name)
        {
            return options.ApiSocket is { Path: null }
                ? throw new CommandLineException($"{Flags.Name} needs an API socket with a path, not fd=")
                : VmRegistry.Register(name, path ?? "");
        }

        try
        {
            return path is null ? null : VmRegistry.Register(null, path);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            LogNotRegistered(_logger, e.Message);
            return null;
        }
    }

    private static UnixListener? Listen(PathOrFd? where) => where switch
    {
        null => null,
        { Path: { } path } => UnixListener.Bind(path, ApiServer.Backlog),
        _ => UnixListener.FromFd(where.Fd!.Value),
    };

    /// <summary>Ends <see cref="Run"/>. The first reason decides the exit code. Any thread.</summary>
    private void End(int exitCode)
    {
        Interlocked.CompareExchange(ref _exitCode, exitCode, 0);
        _ended.Set();
    }

    // A second signal of a kind does what it does without us: kill a process whose orderly end takes too long.
    private void CatchSignals()
    {
        foreach (PosixSignal kind in (ReadOnlySpan<PosixSignal>)[PosixSignal.SIGINT, PosixSignal.SIGTERM, PosixSignal.SIGHUP])
        {
            _signals.Add(PosixSignalRegistration.Create(kind, context =>
            {
                context.Cancel = !_ended.IsSet;
                LogSignal(_logger, context.Signal);
                End(0);
            }));
        }

        _signals.Add(PosixSignalRegistration.Create(PosixSignal.SIGWINCH, _ => _thread.Post(_vmm.ResizeConsole)));
    }

    [LoggerMessage(Level = LogLevel.Information, Message = "`cnvm ps` will not show this VM: {Reason}")]
    private static partial void LogNotRegistered(ILogger logger, string reason);

    [LoggerMessage(Level = LogLevel.Information, Message = "{Signal}: ending")]
    private static partial void LogSignal(ILogger logger, PosixSignal signal);

    [LoggerMessage(Level = LogLevel.Warning, Message = "--seccomp {Mode}: there are no system call filters yet, nothing is filtered")]
    private static partial void LogSeccomp(ILogger logger, string mode);
}
