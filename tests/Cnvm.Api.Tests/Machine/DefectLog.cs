using System.Collections.Concurrent;
using Microsoft.Extensions.Logging;

namespace Cnvm.Api.Tests.Machine;

/// <summary>Keeps what is logged as an error: that is how the API reports an exception that nobody foresaw.</summary>
internal sealed class DefectLog : ILogger, ILoggerFactory
{
    private readonly ConcurrentQueue<string> _errors = new();

    public IDisposable? BeginScope<TState>(TState state)
        where TState : notnull => null;

    public bool IsEnabled(LogLevel logLevel) => logLevel >= LogLevel.Error;

    public void Log<TState>(LogLevel logLevel, EventId eventId, TState state, Exception? exception, Func<TState, Exception?, string> formatter)
    {
        if (IsEnabled(logLevel))
        {
            _errors.Enqueue($"{formatter(state, exception)}: {exception}");
        }
    }

    public void ExpectNone() => Assert.True(_errors.IsEmpty, string.Join('\n', _errors));

    public ILogger CreateLogger(string categoryName) => this;

    public void AddProvider(ILoggerProvider provider) => throw new NotSupportedException();

    public void Dispose()
    {
    }
}
