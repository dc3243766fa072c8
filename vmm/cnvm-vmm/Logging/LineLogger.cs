using Microsoft.Extensions.Logging;

namespace Cnvm.VmmProgram.Logging;

/// <summary>The lines of one category.</summary>
internal sealed class LineLogger : ILogger
{
    private readonly LineLoggerFactory _factory;
    private readonly string _location;

    public LineLogger(LineLoggerFactory factory, string location)
    {
        _factory = factory;
        _location = location;
    }

    public IDisposable? BeginScope<TState>(TState state)
        where TState : notnull => null;

    public bool IsEnabled(LogLevel logLevel) => _factory.IsEnabled(logLevel);

    public void Log<TState>(LogLevel logLevel, EventId eventId, TState state, Exception? exception, Func<TState, Exception?, string> formatter)
    {
        if (IsEnabled(logLevel))
        {
            _factory.Write(logLevel, _location, formatter(state, exception), exception);
        }
    }
}
