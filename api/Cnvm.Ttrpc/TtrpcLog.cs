using Microsoft.Extensions.Logging;

namespace Cnvm.Ttrpc;

/// <summary>What a server has to tell, to a logger.</summary>
public sealed partial class TtrpcLog(ILogger logger) : ITtrpcLog
{
    /// <inheritdoc/>
    public void CallFailed(Exception reason) => LogFailure(logger, reason);

    /// <inheritdoc/>
    public void FrameRefused(uint stream, string reason) => LogRefused(logger, stream, reason);

    /// <inheritdoc/>
    public void ConnectionBroken(string reason) => LogBroken(logger, reason);

    /// <inheritdoc/>
    public void CallerGone(string reason) => LogGone(logger, reason);

    /// <inheritdoc/>
    public void ConnectionStopped() => LogStopped(logger);

    [LoggerMessage(Level = LogLevel.Error, Message = "a call over ttrpc failed")]
    private static partial void LogFailure(ILogger logger, Exception reason);

    [LoggerMessage(Level = LogLevel.Warning, Message = "ttrpc: stream {Stream} refused, and perhaps others of this connection: {Reason}")]
    private static partial void LogRefused(ILogger logger, uint stream, string reason);

    [LoggerMessage(Level = LogLevel.Warning, Message = "ttrpc: connection closed: {Reason}")]
    private static partial void LogBroken(ILogger logger, string reason);

    [LoggerMessage(Level = LogLevel.Debug, Message = "ttrpc: the caller has gone: {Reason}")]
    private static partial void LogGone(ILogger logger, string reason);

    [LoggerMessage(Level = LogLevel.Debug, Message = "ttrpc: connection stopped")]
    private static partial void LogStopped(ILogger logger);
}
