using Cnvm.Agent.Protocol;
using Cnvm.Sandbox.Agent;
using Cnvm.Ttrpc;

namespace Cnvm.Sandbox;

/// <summary>A process of a container. Any thread; each stream has one user at a time.</summary>
public sealed class SandboxProcess
{
    private readonly AgentConnection _agent;
    private readonly string _container;
    private readonly Lazy<Task<int>> _exit;

    internal SandboxProcess(AgentConnection agent, string container, string id, bool terminal)
    {
        _agent = agent;
        _container = container;
        Id = id;
        HasTerminal = terminal;
        StandardInput = new ProcessInputStream(agent, container, id);
        StandardOutput = new ProcessOutputStream(agent, AgentService.ReadStdout, container, id);
        StandardError = terminal ? Stream.Null : new ProcessOutputStream(agent, AgentService.ReadStderr, container, id);
        _exit = new Lazy<Task<int>>(AskForExitAsync);
    }

    /// <summary>Name of the process in its container; empty for the first one.</summary>
    public string Id { get; }

    /// <summary>It has a terminal instead of pipes.</summary>
    public bool HasTerminal { get; }

    /// <summary>What the process reads. A write ends when the guest has taken it; disposing ends the input.</summary>
    public Stream StandardInput { get; }

    /// <summary>What the process says; with a terminal, everything.</summary>
    public Stream StandardOutput { get; }

    /// <summary>What the process says of errors; nothing with a terminal.</summary>
    public Stream StandardError { get; }

    /// <summary>Waits for the end; any number of callers.</summary>
    /// <returns>The exit code: 128 and the signal's number if it was killed.</returns>
    /// <exception cref="SandboxException">The sandbox ends first.</exception>
    public Task<int> WaitAsync(CancellationToken cancellation = default) => _exit.Value.WaitAsync(cancellation);

    /// <summary>Sends a signal.</summary>
    /// <param name="signal">Its number, 1 to 64.</param>
    /// <param name="cancellation">Gives the call up.</param>
    /// <exception cref="SandboxException">The process has ended (<see cref="SandboxErrorKind.NotFound"/>), or the sandbox has.</exception>
    public async Task SignalAsync(int signal, CancellationToken cancellation = default)
    {
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(signal);
        ArgumentOutOfRangeException.ThrowIfGreaterThan(signal, 64);
        await _agent.CallAsync<SignalProcessRequest, Empty>(
            AgentService.SignalProcess, new SignalProcessRequest { ContainerId = _container, ExecId = Id, Signal = (uint)signal }, cancellation).ConfigureAwait(false);
    }

    /// <summary>Tells the process's terminal its size.</summary>
    /// <exception cref="SandboxException">It has no terminal, or the sandbox has ended.</exception>
    public async Task ResizeAsync(int columns, int rows, CancellationToken cancellation = default)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(columns);
        ArgumentOutOfRangeException.ThrowIfNegative(rows);
        await _agent.CallAsync<TtyWinResizeRequest, Empty>(
            AgentService.TtyWinResize,
            new TtyWinResizeRequest { ContainerId = _container, ExecId = Id, Row = (uint)rows, Column = (uint)columns },
            cancellation).ConfigureAwait(false);
    }

    private async Task<int> AskForExitAsync()
    {
        WaitProcessResponse answer = await _agent.WaitAsync<WaitProcessRequest, WaitProcessResponse>(
            AgentService.WaitProcess, new WaitProcessRequest { ContainerId = _container, ExecId = Id }, CancellationToken.None).ConfigureAwait(false);
        return answer.Status;
    }
}
