using System.Globalization;

namespace Cnvm.Api;

/// <summary>The VMM answered a call with an error.</summary>
public sealed class ApiCallException : Exception
{
    public ApiCallException(string endpoint, int status, IReadOnlyList<string> chain)
        : base(string.Create(CultureInfo.InvariantCulture, $"{endpoint}: {status}: {string.Join(": ", chain)}"))
    {
        Endpoint = endpoint;
        Status = status;
        Chain = chain;
    }

    /// <summary>What was called, for example <c>vm.boot</c>.</summary>
    public string Endpoint { get; }

    /// <summary>HTTP status.</summary>
    public int Status { get; }

    /// <summary>What went wrong, from the outside in.</summary>
    public IReadOnlyList<string> Chain { get; }
}
