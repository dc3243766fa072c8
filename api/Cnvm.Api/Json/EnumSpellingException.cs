using System.Text.Json;

namespace Cnvm.Api.Json;

/// <summary>A value is none of an enumeration's names; the message lists them.</summary>
internal sealed class EnumSpellingException : JsonException
{
    public EnumSpellingException(string message)
        : base(message)
    {
    }
}
