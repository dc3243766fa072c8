using Xunit.Sdk;

namespace Cnvm.Guest.Tests;

/// <summary>a test that can be skipped, and that is run once more when it failed in the nested host.</summary>
[XunitTestCaseDiscoverer("Cnvm.Guest.Tests." + nameof(GuestFactDiscoverer), "Cnvm.Guest.Tests")]
[AttributeUsage(AttributeTargets.Method)]
public sealed class GuestFactAttribute : FactAttribute;
